// The catalogue's words for towers and encoder-free embedders, beside bend.h's. Not here: faults.
#pragma once

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/faults/bend.h"
#include "reference/audio_blocks.h"
#include "reference/vision_blocks.h"

namespace assay::bend {

using reference::Audio;
using reference::AudioLayer;
using reference::ClippedWeight;
using reference::Frames;
using reference::Patches;
using reference::PatchPosition;
using reference::SoftTokens;
using reference::Vision;
using reference::VisionLayer;
using reference::Weight;

/// A tap of a tower's first layer, or around its layers; nothing where the model has none of that name.
inline Place tower(Tap tap) {
  return [tap](const Plan& plan) -> std::optional<TapId> {
    const TapId id{tap, is_layer(info(tap).scope) ? 0 : -1};
    return exists(plan, id) ? std::optional(id) : std::nullopt;
  };
}

inline bool with_encoder(const Vision& vision) { return !vision.plan.encoder_free; }
inline bool with_encoder(const Audio& audio) { return !audio.plan.encoder_free; }

/// Apply an edit where the model has the part; true if it has.
inline bool vision_layers(Parts& parts, const std::function<void(VisionLayer&)>& edit) {
  if (!parts.vision) return false;
  std::ranges::for_each(parts.vision->layers, edit);
  return !parts.vision->layers.empty();
}
inline bool audio_layers(Parts& parts, const std::function<void(AudioLayer&)>& edit) {
  if (!parts.audio) return false;
  std::ranges::for_each(parts.audio->layers, edit);
  return !parts.audio->layers.empty();
}

/// A fault of each layer of the vision tower, which shows first in its first.
Fault in_vision_layers(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                       Tap shows, std::function<void(VisionLayer&)> edit);
/// From now on the model is given this input edited.
void edit_input(Parts& parts, std::string_view name, std::function<void(std::vector<float>&)> edit);

/// The true RMS norm, but not where the weight is this one.
inline std::function<void(Rows<float>, std::span<const float>, float)> norm_but_of(std::vector<float> left_out) {
  return [left_out = std::move(left_out)](Rows<float> x, std::span<const float> weight, float eps) {
    if (!std::ranges::equal(weight, left_out)) reference::rms_norm(x, weight, eps);
  };
}
/// Multiplies by 1 + w.
inline void norm_one_plus_weight(Rows<float> x, std::span<const float> weight, float eps) {
  std::vector<float> more(weight.begin(), weight.end());
  for (float& w : more) w += 1;
  reference::rms_norm(x, more, eps);
}
/// Subtracts the mean first.
inline void norm_centred(Rows<float> x, std::span<const float> weight, float eps) {
  for (int r = 0; r < x.rows; ++r) {
    double mean = 0;
    for (const float v : x.row(r)) mean += v;
    for (float& v : x.row(r)) v -= float(mean / x.cols);
  }
  reference::rms_norm(x, weight, eps);
}

/// An activation that is another function.
inline std::function<void(std::span<float>, Activation)> elementwise(double (*value)(double)) {
  return [value](std::span<float> x, Activation) {
    for (float& v : x) v = float(value(v));
  };
}
inline double silu(double x) { return x / (1 + std::exp(-x)); }
inline double quick_gelu(double x) { return x / (1 + std::exp(-1.702 * x)); }
inline double gelu_erf(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
inline double gelu_tanh(double x) { return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

// Clipped linears that forget some of their bounds.
inline Grid unclipped(Rows<const float> x, const ClippedWeight& w) {
  return reference::clipped_linear(x, {w.weight, {}, {}});
}
inline Grid clipped_before(Rows<const float> x, const ClippedWeight& w) {
  return reference::clipped_linear(x, {w.weight, w.input, {}});
}
inline Grid clipped_behind(Rows<const float> x, const ClippedWeight& w) {
  return reference::clipped_linear(x, {w.weight, {}, w.output});
}
inline Grid clipped_crosswise(Rows<const float> x, const ClippedWeight& w) {
  return reference::clipped_linear(x, {w.weight, w.output, w.input});
}

/// A true clipped linear whose sums are fp32, in order.
Grid clipped_in_fp32(Rows<const float> x, const ClippedWeight& w);

/// A matrix of the same shape with values moved: value (r, c) is `from`'s at what `source` gives.
inline Weight moved(const Weight& from, const std::function<std::size_t(std::size_t r, std::size_t c)>& source) {
  const std::vector<float> values = from.floats();
  std::vector<float> to;
  to.reserve(values.size());
  for (std::size_t r = 0; r < std::size_t(from.rows); ++r)
    for (std::size_t c = 0; c < std::size_t(from.cols); ++c) to.push_back(values[source(r, c)]);
  return Weight::own(from.rows, from.cols, std::move(to));
}

/// The rows of frames that are real.
inline Grid real_rows(const Frames& frames, Rows<const float> x) {
  Grid kept(0, x.cols);
  for (int r = 0; r < x.rows; ++r) {
    if (!frames.real[std::size_t(r)]) continue;
    kept.values.insert(kept.values.end(), x.row(r).begin(), x.row(r).end());
    ++kept.rows;
  }
  return kept;
}

/// Merges as the oracle does, with another choice of row: `pick` gets a kind, which of the call's placeholders of that
/// kind it is, and the row of the call; it returns the soft token or null. Runs out without an error.
using Pick = std::function<const float*(SoftTokens& soft, std::size_t kind, int nth, int row)>;
Result<void> merge_by(const Parts& parts, std::span<const std::int64_t> ids, SoftTokens& soft, Rows<float> embeds,
                      const Pick& pick);
/// What the oracle picks, as long as there is one.
const float* pick_next(SoftTokens& soft, std::size_t kind, int nth, int row);
/// Lets placeholders outnumber soft tokens, for faults that lose some.
void forgive_missing(Parts& parts);

}  // namespace assay::bend
