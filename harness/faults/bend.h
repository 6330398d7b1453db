// Words that the catalogue is written in: which layers, which place, and small edits. Not here: faults.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "harness/faults/fault.h"
#include "reference/blocks.h"
#include "reference/ops/rms_norm.h"

namespace assay::bend {

using reference::Grid;
using reference::KeysValues;
using reference::KvCache;
using reference::Layer;
using reference::Parts;
using reference::Sequence;
using Which = std::function<bool(const LayerPlan&)>;
using Place = std::function<std::optional<TapId>(const Plan&)>;

// Which layers.
inline bool any(const LayerPlan&) { return true; }
inline bool sliding(const LayerPlan& layer) { return layer.window > 0; }
inline bool global(const LayerPlan& layer) { return layer.window == 0; }
inline bool shared(const LayerPlan& layer) { return layer.kv.kind == KvSource::earlier; }
inline bool owns_kv(const LayerPlan& layer) { return layer.kv.kind == KvSource::own; }
inline bool value_is_key(const LayerPlan& layer) { return owns_kv(layer) && layer.value_is_key; }
inline bool has_experts(const LayerPlan& layer) { return layer.experts.has_value(); }
inline bool has_ple(const LayerPlan& layer) { return layer.ple_width > 0; }

/// The tap in the first layer of a kind.
inline Place at(Tap tap, Which which = any) {
  return [tap, which](const Plan& plan) -> std::optional<TapId> {
    for (std::size_t i = 0; i < plan.layers.size(); ++i)
      if (which(plan.layers[i])) return TapId{tap, int(i)};
    return std::nullopt;
  };
}
/// A tap of the model.
inline Place model(Tap tap) {
  return [tap](const Plan&) { return std::optional(TapId{tap, -1}); };
}
/// Nowhere: a negative control.
inline std::optional<TapId> nowhere(const Plan&) { return std::nullopt; }

/// Applies an edit to the layers of a kind; true if there was one.
inline bool each(Parts& parts, const Which& which, const std::function<void(Layer&)>& edit) {
  bool found = false;
  for (Layer& layer : parts.layers)
    if (which(layer.plan)) {
      edit(layer);
      found = true;
    }
  return found;
}

inline void scale(Rows<float> x, float factor) {
  for (float& v : x.all()) v *= factor;
}

/// Rounds to bfloat16 and back.
float through_bf16(float value);
/// Rounds to float16 and back; beyond its range to infinity.
float through_f16(float value);
/// Blocks of 32: scale absmax / levels, rounded values.
void through_blocks(std::span<float> row, int levels);

/// A layer's K/V made anew from another input, for faults in which a KV-shared layer does not share.
std::shared_ptr<Layer> copy_of_donor(const Parts& parts, const Layer& layer);

}  // namespace assay::bend
