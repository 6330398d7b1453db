// Media to soft tokens: the order in which the blocks of the towers run, where their taps are shown, and what is kept
// between calls. Not here: the blocks (vision_blocks.h, audio_blocks.h), text.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/media_rows.h"
#include "reference/ops/grid.h"

namespace assay::reference {

struct Parts;
struct Patches;
struct Frames;

/// The soft tokens of a prompt's media, and how many of them have found their placeholder.
struct SoftTokens {
  enum Kind { image, video, audio };
  struct Queue {
    Grid rows;  ///< [soft, hidden]
    int used = 0;
    bool given = false;  ///< media of the kind were passed at all
  };
  std::array<Queue, 3> kinds;
};

/// Positions of the patches of all images, then of all frames of videos. Errors: bad_input.
Result<Patches> read_patches(const MediaRows& media, std::span<const NamedTensor> tensors);
/// Their pixels, [patches, values]. Errors: bad_input.
Result<Grid> read_pixels(std::span<const NamedTensor> tensors);
Result<Frames> read_frames(const MediaRows& media, std::span<const NamedTensor> tensors);
Result<Grid> read_features(std::span<const NamedTensor> tensors);

/// Runs the towers on what was passed. Errors: bad_input.
/// Source: Gemma4Model.get_image_features, get_video_features, get_audio_features (transformers 5.22.2).
Result<SoftTokens> encode(const Parts& parts, std::span<const NamedTensor> tensors, TapSink& taps);

/// Puts soft tokens, unscaled, over the embeddings at their kind's placeholders, in order. A placeholder that comes
/// when all were used up before the call keeps the pad token's embedding, as one that was generated does in
/// transformers. Errors: bad_input (more placeholders in a call than soft tokens are left).
/// Source: Gemma4Model.forward (transformers 5.22.2).
Result<void> merge(const Parts& parts, std::span<const std::int64_t> ids, SoftTokens& soft, Rows<float> embeds);

}  // namespace assay::reference
