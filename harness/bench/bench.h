// Times any engine end to end, through engine.h alone: prompts, decoding at depths, encoders, the first token after
// opening. Repetitions of all of them take turns with each other, after a warm-up; roofs are measured between them, and
// a result is held against the roofs as they were right before and after its samples. What a pass cannot do without is
// worked out from the plan and from how the checkpoint packs its weights. Not here: which engine and model (the command
// line), kernels by themselves (harness/kernel).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/kernel/work.h"
#include "kernels/formats.h"
#include "model/checkpoint.h"
#include "reports/bench.h"

namespace assay {

struct EngineBenchOptions {
  std::vector<int> lengths{128, 512};  ///< of prompts, each in an empty cache and at each depth; a row of logits wanted
  std::vector<int> depths{0};          ///< tokens that are cached before decoding, or a prompt, starts
  int decode = 32;                     ///< tokens of one sample
  int repetitions = 5;
  int threads = 2;
  double warm_up = 20;  ///< seconds at most, beside one round of everything
  /// The engine's mode of activations: whose roof the products are held against.
  kernels::Acts acts = kernels::Acts::fp32;
  /// What the engine packs the text decoder's weights to as it opens; none: as stored.
  std::optional<Dtype> weights = {};
  double kv_bytes = 4;   ///< of a cached value
  bool encoders = true;  ///< where the model has them
  std::function<void(const std::string& doing)> progress;
};

/// How passes over a checkpoint are counted: bytes as its tensors are packed, or would be to options.weights (0 for a
/// tensor that it lacks); products in options.acts, or in the next finer mode that the tensor's format has kernels for.
MustOptions counting(const Checkpoint& checkpoint, const EngineBenchOptions& options);

/// What one token at `depth`, and `length` tokens behind `depth` cached ones, cannot do without.
Must decode_must(const Checkpoint& checkpoint, const EngineBenchOptions& options, int depth);
Must prefill_must(const Checkpoint& checkpoint, const EngineBenchOptions& options, int length, int depth);

/// Token ids that mean nothing, none of them a placeholder or the pad token; fewer are the first of more.
std::vector<std::int64_t> filler_ids(const Plan& plan, int count);

/// Media that mean nothing, of the size that the models' processors make by default, with the ids of a prompt that
/// takes them: `pixel_values` of one image, or `input_features` of ten seconds. The plan has vision (audio).
struct MediaPrompt {
  std::vector<std::int64_t> ids;
  std::vector<NamedTensor> more;
  int units = 0;  ///< patches of the image, frames of the sound
  double seconds_of_sound = 0;
};
MediaPrompt image_prompt(const Plan& plan);
Result<MediaPrompt> sound_prompt(const Plan& plan);

/// Appends results to `run`, its roofs and facts: load_seconds; of engines in this process peak_memory_bytes, its most
/// with one session open and before roofs were measured; weights_bytes. Results: `prefill` by tokens (`512 tokens`,
/// `512 tokens at depth 2048`), `decode` by tokens (how a depth was reached is not timed), `first-token` (a session
/// opened anew, then the shortest prompt), `vision` by images and `audio` by seconds of sound: calls that want the
/// tower's last tap alone, so that an engine may stop behind it. Op times are taken in a round of their own where the
/// session has them (engine/op_times.h). Errors: bad_input (no lengths and no depths; a number below 1; a drafter),
/// those of the session, of RoofMeter::make.
Result<void> bench_engine(const Engine& engine, const Checkpoint& checkpoint, const EngineBenchOptions& options,
                          BenchRun& run);

}  // namespace assay
