// Which tensors of a call bring media, taken apart into items, and their way through the towers. Not here: the towers
// (vision.h, audio.h), what becomes of soft tokens (soft_tokens.h).
#pragma once

#include <optional>
#include <span>

#include "base/result.h"
#include "engine/cpu/audio.h"
#include "engine/cpu/soft_tokens.h"
#include "engine/cpu/vision.h"
#include "engine/engine.h"

namespace assay::cpu {

struct Towers {
  std::optional<Vision> vision;
  std::optional<Audio> audio;

  /// Errors: bad_input (a tensor that is not there), unsupported.
  static Result<Towers> open(const Checkpoint& checkpoint, const Options& options);
  /// The soft tokens of all media of a call. Errors: bad_input (media_rows.h).
  /// Source: Gemma4Model.get_image_features, get_video_features, get_audio_features (transformers 5.22.2).
  Result<SoftTokens> encode(const Plan& plan, std::span<const NamedTensor> tensors, TapSink& taps,
                            OpClock* clock = nullptr);
};

}  // namespace assay::cpu
