#include "engine/taps.h"

#include <algorithm>
#include <charconv>

namespace assay {
namespace {

constexpr std::string_view kLayerPrefix = "text.layer.";

int taps_before(TapScope scope) {
  return int(std::count_if(std::begin(kTaps), std::end(kTaps), [&](const TapInfo& row) { return row.scope < scope; }));
}

}  // namespace

std::string TapId::name() const {
  const TapInfo& row = info(tap);
  if (row.scope != TapScope::layer) return "text." + std::string(row.name);
  const std::string number = std::to_string(layer);
  return std::string(kLayerPrefix) + (number.size() < 2 ? "0" : "") + number + "." + std::string(row.name);
}

std::optional<TapId> TapId::parse(std::string_view name) {
  int layer = -1;
  TapScope scope = TapScope::model_in;
  std::string_view rest;
  if (name.starts_with(kLayerPrefix)) {
    name.remove_prefix(kLayerPrefix.size());
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos || dot < 2) return std::nullopt;
    const auto [end, error] = std::from_chars(name.data(), name.data() + dot, layer);
    if (error != std::errc() || end != name.data() + dot || layer < 0) return std::nullopt;
    rest = name.substr(dot + 1);
    scope = TapScope::layer;
  } else if (name.starts_with("text.")) {
    rest = name.substr(5);
  } else {
    return std::nullopt;
  }
  for (const TapInfo& row : kTaps)
    if (row.name == rest && (row.scope == TapScope::layer) == (scope == TapScope::layer)) return TapId{row.tap, layer};
  return std::nullopt;
}

int TapId::order(int layers) const {
  const int in = taps_before(TapScope::layer), per_layer = taps_before(TapScope::model_out) - in;
  switch (info(tap).scope) {
    case TapScope::model_in: return int(tap);
    case TapScope::layer: return in + layer * per_layer + (int(tap) - in);
    case TapScope::model_out: return in + layers * per_layer + (int(tap) - in - per_layer);
  }
  return -1;
}

bool exists(const Plan& plan, TapId id) {
  const TapInfo& row = info(id.tap);
  if (row.scope != TapScope::layer) return id.layer == -1 && (id.tap != Tap::ple || plan.ple_width > 0);
  if (id.layer < 0 || id.layer >= int(plan.layers.size())) return false;
  const LayerPlan& layer = plan.layers[std::size_t(id.layer)];
  switch (id.tap) {
    case Tap::attn_k:
    case Tap::attn_k_rope:
    case Tap::attn_v: return layer.kv.kind == KvSource::own;
    case Tap::router_probs:
    case Tap::router_topk:
    case Tap::experts: return layer.experts.has_value();
    case Tap::ple_out: return layer.ple_width > 0;
    default: return true;
  }
}

std::vector<TapId> all_taps(const Plan& plan) {
  std::vector<TapId> ids;
  const auto add = [&](TapScope scope, int layer) {
    for (const TapInfo& row : kTaps)
      if (row.scope == scope && exists(plan, {row.tap, layer})) ids.push_back({row.tap, layer});
  };
  add(TapScope::model_in, -1);
  for (int layer = 0; layer < int(plan.layers.size()); ++layer) add(TapScope::layer, layer);
  add(TapScope::model_out, -1);
  return ids;
}

std::vector<std::int64_t> row_shape(const Plan& plan, TapId id) {
  static const LayerPlan kNone{};
  const LayerPlan& layer = id.layer < 0 ? kNone : plan.layers[std::size_t(id.layer)];
  if (id.tap == Tap::attn_ctx) return {layer.q_width()};  // o_proj's input has its heads side by side
  switch (info(id.tap).columns) {
    case TapColumns::hidden: return {plan.hidden};
    case TapColumns::ple: return {std::int64_t(plan.layers.size()), plan.ple_width};
    case TapColumns::q: return {layer.q_heads, layer.head_dim};
    case TapColumns::kv: return {layer.kv_heads, layer.head_dim};
    case TapColumns::ffn: return {layer.ffn_width};
    case TapColumns::experts: return {layer.experts ? layer.experts->count : 0};
    case TapColumns::vocab: return {plan.vocab};
  }
  return {};
}

int columns(const Plan& plan, TapId id) {
  int product = 1;
  for (const std::int64_t extent : row_shape(plan, id)) product *= int(extent);
  return product;
}

}  // namespace assay
