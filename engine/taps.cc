#include "engine/taps.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <string>

namespace assay {
namespace {

struct PartName {
  TapPart part;
  std::string_view name;
};
constexpr std::array<PartName, 4> kParts = {{{TapPart::vision, "vision"},
                                             {TapPart::audio, "audio"},
                                             {TapPart::text, "text"},
                                             {TapPart::assistant, "assistant"}}};
constexpr std::string_view kLayer = "layer.";

// Orders of the parts that are not text. Inside them a layer takes a fixed step, so that no part needs another's depth.
constexpr int kLayerStep = 64, kBehindLayers = kLayerStep << 13;
constexpr int kFirstVision = -4 * kBehindLayers, kFirstAudio = -2 * kBehindLayers, kFirstAssistant = 2 * kBehindLayers;

int taps_of(TapScope scope) {
  return int(std::count_if(std::begin(kTaps), std::end(kTaps), [&](const TapInfo& row) { return row.scope == scope; }));
}

/// Place among the taps of its scope.
int place(Tap tap) {
  const auto* const row = &info(tap);
  return int(std::count_if(std::begin(kTaps), row, [&](const TapInfo& other) { return other.scope == row->scope; }));
}

int order_beside_text(TapId id, int first) {
  switch (int(info(id.tap).scope) % 3) {
    case 0: return first + place(id.tap);
    case 1: return first + (id.layer + 1) * kLayerStep + place(id.tap);
    default: return first + kBehindLayers + place(id.tap);
  }
}

int layers_of(const Plan& plan, TapPart part) {
  switch (part) {
    case TapPart::vision: return plan.vision ? int(plan.vision->layers.size()) : 0;
    case TapPart::audio: return plan.audio ? int(plan.audio->layers.size()) : 0;
    case TapPart::text: return plan.assistant ? 0 : int(plan.layers.size());
    case TapPart::assistant: return plan.assistant ? int(plan.layers.size()) : 0;
  }
  return 0;
}

bool exists_in_layer(const LayerPlan& layer, Tap tap) {
  switch (tap) {
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

/// What enters a part's first layer.
Tap entrance(TapPart part) {
  switch (part) {
    case TapPart::vision: return Tap::vision_patch_embed;
    case TapPart::audio: return Tap::audio_subsample;
    case TapPart::text: return Tap::embed;
    case TapPart::assistant: return Tap::assistant_in;
  }
  return Tap::embed;
}

/// What leaves each of its layers.
Tap layer_out(TapPart part) {
  switch (part) {
    case TapPart::vision: return Tap::vision_out;
    case TapPart::audio: return Tap::audio_out;
    case TapPart::text: return Tap::out;
    case TapPart::assistant: return Tap::assistant_out;
  }
  return Tap::out;
}

}  // namespace

RowSpace row_space(Tap tap) {
  switch (tap) {
    case Tap::vision_pooled:
    case Tap::vision_projected: return RowSpace::vision_soft;
    case Tap::audio_mel: return RowSpace::frames;
    case Tap::audio_projected: return RowSpace::audio_soft;
    default: break;
  }
  switch (part_of(tap)) {
    case TapPart::vision: return RowSpace::patches;
    case TapPart::audio: return RowSpace::audio_frames;
    default: return RowSpace::tokens;
  }
}

std::string TapId::name() const {
  const TapInfo& row = info(tap);
  const std::string part(kParts[std::size_t(part_of(row.scope))].name);
  if (!is_layer(row.scope)) return part + "." + std::string(row.name);
  const std::string number = std::to_string(layer);
  return part + "." + std::string(kLayer) + (number.size() < 2 ? "0" : "") + number + "." + std::string(row.name);
}

std::optional<TapId> TapId::parse(std::string_view name) {
  for (const auto& [part, prefix] : kParts) {
    if (!name.starts_with(prefix) || name.substr(prefix.size(), 1) != ".") continue;
    std::string_view rest = name.substr(prefix.size() + 1);
    int layer = -1;
    if (rest.starts_with(kLayer)) {
      rest.remove_prefix(kLayer.size());
      const std::size_t dot = rest.find('.');
      if (dot == std::string_view::npos || dot < 2) return std::nullopt;
      const auto [end, error] = std::from_chars(rest.data(), rest.data() + dot, layer);
      if (error != std::errc() || end != rest.data() + dot || layer < 0) return std::nullopt;
      rest.remove_prefix(dot + 1);
    }
    for (const TapInfo& row : kTaps)
      if (row.name == rest && part_of(row.scope) == part && is_layer(row.scope) == (layer >= 0))
        return TapId{row.tap, layer};
  }
  return std::nullopt;
}

int TapId::order(int layers) const {
  const TapScope scope = info(tap).scope;
  switch (part_of(scope)) {
    case TapPart::vision: return order_beside_text(*this, kFirstVision);
    case TapPart::audio: return order_beside_text(*this, kFirstAudio);
    case TapPart::assistant: return order_beside_text(*this, kFirstAssistant);
    case TapPart::text: break;
  }
  const int in = taps_of(TapScope::model_in), per_layer = taps_of(TapScope::layer);
  if (scope == TapScope::model_in) return place(tap);
  return in + (scope == TapScope::layer ? layer : layers) * per_layer + place(tap);
}

bool exists(const Plan& plan, TapId id) {
  const TapScope scope = info(id.tap).scope;
  const TapPart part = part_of(scope);
  if (is_layer(scope)) {
    if (id.layer < 0 || id.layer >= layers_of(plan, part)) return false;
    return part != TapPart::text || exists_in_layer(plan.layers[std::size_t(id.layer)], id.tap);
  }
  if (id.layer != -1) return false;
  switch (part) {
    case TapPart::vision: return plan.vision && (id.tap != Tap::vision_pooled || !plan.vision->encoder_free);
    case TapPart::audio:
      return plan.audio && (id.tap == Tap::audio_mel || id.tap == Tap::audio_projected || !plan.audio->encoder_free);
    case TapPart::text: return !plan.assistant && (id.tap != Tap::ple || plan.ple_width > 0);
    case TapPart::assistant: return plan.assistant.has_value();
  }
  return false;
}

std::vector<TapId> all_taps(const Plan& plan) {
  std::vector<TapId> ids;
  const auto add = [&](TapScope scope, int layer) {
    for (const TapInfo& row : kTaps)
      if (row.scope == scope && exists(plan, {row.tap, layer})) ids.push_back({row.tap, layer});
  };
  for (const auto& [part, name] : kParts) {
    const int first = int(part) * 3;
    add(TapScope(first), -1);
    for (int layer = 0; layer < layers_of(plan, part); ++layer) add(TapScope(first + 1), layer);
    add(TapScope(first + 2), -1);
  }
  return ids;
}

std::optional<TapId> input_tap(const Plan& plan, TapId id, std::string_view input) {
  const TapPart part = part_of(id.tap);
  if (input == "in") return id.layer == 0 ? TapId{entrance(part), -1} : TapId{layer_out(part), id.layer - 1};
  int layer = id.layer;
  if (constexpr std::string_view kDonor = "kv:"; input.starts_with(kDonor)) {
    input.remove_prefix(kDonor.size());
    const KvSource& kv = plan.layers[std::size_t(layer)].kv;
    if (kv.kind == KvSource::target) return std::nullopt;
    layer = kv.layer;
  }
  for (const TapInfo& row : kTaps) {
    if (row.id != input) continue;
    if (!is_layer(row.scope)) return TapId{row.tap, -1};
    return TapId{row.tap, layer < 0 ? layers_of(plan, part) - 1 : layer};  // behind the layers: the last one's
  }
  return std::nullopt;
}

std::vector<TapId> input_taps(const Plan& plan, TapId id) {
  std::vector<TapId> taps;
  std::istringstream words{std::string(info(id.tap).inputs)};
  for (std::string word; words >> word;)
    if (const auto input = input_tap(plan, id, word); input && exists(plan, *input)) taps.push_back(*input);
  return taps;
}

int deepest(const Plan& plan) {
  return std::max({int(plan.layers.size()), layers_of(plan, TapPart::vision), layers_of(plan, TapPart::audio)});
}

std::vector<std::int64_t> row_shape(const Plan& plan, TapId id) {
  static const LayerPlan kNone{};
  static const VisionLayerPlan kNoVision{};
  const bool in_layer = id.layer >= 0;
  const TapPart part = part_of(id.tap);
  const bool decoder = part == TapPart::text || part == TapPart::assistant;
  const LayerPlan& layer = in_layer && decoder ? plan.layers[std::size_t(id.layer)] : kNone;
  const VisionLayerPlan& vision =
      in_layer && part == TapPart::vision ? plan.vision->layers[std::size_t(id.layer)] : kNoVision;
  const TapColumns columns = info(id.tap).columns;
  if (info(id.tap).kind == TapKind::context)  // o_proj's input has its heads side by side
    return {decoder ? layer.q_width() : vision.q_width()};
  switch (columns) {
    case TapColumns::hidden: return {plan.hidden};
    case TapColumns::ple: return {std::int64_t(plan.layers.size()), plan.ple_width};
    case TapColumns::q: return {layer.q_heads, layer.head_dim};
    case TapColumns::kv: return {layer.kv_heads, layer.head_dim};
    case TapColumns::ffn: return {layer.ffn_width};
    case TapColumns::experts: return {layer.experts ? layer.experts->count : 0};
    case TapColumns::vocab: return {plan.vocab};
    case TapColumns::backbone: return {plan.assistant ? plan.assistant->backbone : 0};
    case TapColumns::vision_hidden: return {plan.vision ? plan.vision->hidden : 0};
    case TapColumns::vision_q: return {vision.heads, vision.head_dim};
    case TapColumns::vision_kv: return {vision.kv_heads, vision.head_dim};
    case TapColumns::audio_features: return {plan.audio ? plan.audio->features : 0};
    case TapColumns::audio_hidden: return {plan.audio ? plan.audio->hidden : 0};
    case TapColumns::audio_output: return {plan.audio ? plan.audio->output : 0};
  }
  return {};
}

int columns(const Plan& plan, TapId id) {
  int product = 1;
  for (const std::int64_t extent : row_shape(plan, id)) product *= int(extent);
  return product;
}

}  // namespace assay
