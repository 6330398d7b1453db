#include "harness/kernel/shapes.h"

#include <algorithm>

#include "kernels/spec/activation.h"
#include "kernels/spec/attention.h"

namespace assay {
namespace {

using kernels::Op;
using kernels::OpInfo;
using kernels::Shape;

constexpr int kTableRows = 1024;  ///< of lookup tables: the rows that nobody looks up only cost memory
constexpr int kRelu = int(kernels::Activation::relu), kSigmoid = int(kernels::Activation::sigmoid);
constexpr int kSeesAll = 4;  ///< attention's `holes`: every token sees every key

int activation_of(Activation activation) {
  switch (activation) {
    case Activation::gelu_tanh: return int(kernels::Activation::gelu_tanh);
    case Activation::gelu_erf: return int(kernels::Activation::gelu_erf);
    case Activation::silu: return int(kernels::Activation::silu);
    case Activation::relu: return int(kernels::Activation::relu);
  }
  return int(kernels::Activation::gelu_tanh);
}

/// Adds what is not there yet. @param more  `k_norm, v_norm`
void add_parts(std::string& parts, std::string_view more) {
  constexpr std::string_view kComma = ", ";
  while (!more.empty()) {
    const std::size_t end = std::min(more.find(kComma), more.size());
    const std::string part(more.substr(0, end));
    more.remove_prefix(std::min(end + kComma.size(), more.size()));
    if ((", " + parts + ",").find(", " + part + ",") == std::string::npos) parts += (parts.empty() ? "" : ", ") + part;
  }
}

class Collector {
 public:
  /// @param dims  in the order of the op's own
  void add(Op op, std::initializer_list<int> dims, const std::string& part, double calls = 1) {
    KernelUse use{.op = &kernels::info(op), .shape = {}, .parts = part, .calls = calls};
    std::copy(dims.begin(), dims.end(), use.shape.begin());
    for (const int dim : {0, 1})
      if (use.shape[std::size_t(dim)] == 0) return;  // nothing of it is needed in this pass
    for (KernelUse& known : uses_) {
      if (known.op != use.op || known.shape != use.shape) continue;
      known.calls += calls;
      add_parts(known.parts, part);
      return;
    }
    uses_.push_back(std::move(use));
  }

  void products(const ModelWork& work) {
    std::string last;  // activations are narrowed once for all matrices that read them in a row
    for (const Product& p : work.products) {
      if (p.part == "audio.conv") continue;  // an op of its own
      const std::string input = std::to_string(p.tokens) + "x" + std::to_string(p.cols);
      if (input != last) add(Op::narrow, {p.tokens, p.cols}, p.part, p.calls);
      last = input;
      if (p.tokens == 1)
        add(Op::gemv, {p.rows, p.cols}, p.part, p.calls);
      else
        add(Op::gemm, {p.rows, p.cols, p.tokens}, p.part, p.calls);
    }
  }

  std::vector<KernelUse> take() { return std::move(uses_); }

 private:
  std::vector<KernelUse> uses_;
};

/// The last `tokens` of `end` look at their keys, `unit` of them at a time.
void attention_uses(Collector& collect, const LayerPlan& layer, int tokens, int end, int unit) {
  const int heads = layer.q_heads, d = layer.head_dim, window = layer.window;
  const char* part = window > 0 ? "sliding" : "full";
  for (int first = end - tokens; first < end; first += unit) {
    const int count = std::min(unit, end - first), keys = first + count;
    const int seen = window == 0 ? keys : std::min(keys, window + count - 1);
    const int chunk = count <= kernels::kFewQueries ? kernels::attention_chunk_of(seen) : 0;
    collect.add(Op::attention, {count, heads, layer.kv_heads, d, keys, window, chunk, window > 0 ? 1 : 0, 0}, part);
    if (chunk > 0 && seen > chunk)
      collect.add(Op::attention_merge, {count * heads, (seen + chunk - 1) / chunk, d}, part);
  }
}

/// Everything in a layer but its products. @param tokens, kv, end  as in work.cc @param lends  its K/V to later layers
void layer_uses(Collector& collect, const Plan& plan, const LayerPlan& layer, int tokens, int kv, int end, bool lends) {
  const int hidden = plan.hidden, d = layer.head_dim, heads = layer.q_heads,
            activation = activation_of(plan.activation);
  const bool own = layer.kv.kind == KvSource::own;
  collect.add(Op::rms_norm, {own ? kv : tokens, hidden}, "input_layernorm");
  collect.add(Op::rms_norm, {tokens * heads, d}, "q_norm");
  collect.add(Op::rope, {tokens, heads, d, 1, 1}, "q");
  if (own) {
    collect.add(Op::rms_norm, {kv * layer.kv_heads, d}, "k_norm, v_norm", 2);
    collect.add(Op::rope, {kv, layer.kv_heads, d, 1, 1}, "k");
  }
  // A ring that others read holds a whole prompt; all else is looked at in one go.
  attention_uses(collect, layer, tokens, end, own && layer.window > 0 && !lends ? kRealUnit : std::max(1, tokens));
  collect.add(Op::norm_add, {tokens, hidden}, "post_attention_layernorm");
  collect.add(Op::rms_norm, {tokens, hidden}, "pre_feedforward_layernorm");
  collect.add(Op::gated, {tokens, layer.ffn_width, activation, 0}, "mlp");
  collect.add(Op::norm_add, {tokens, hidden}, "post_feedforward_layernorm");
  if (layer.ple_width > 0) {
    collect.add(Op::gated, {tokens, layer.ple_width, activation, 0}, "ple");
    collect.add(Op::norm_add, {tokens, hidden}, "post_per_layer_input_norm");
  }
  if (!layer.experts) return;
  collect.add(Op::rms_norm, {tokens, hidden}, "router, experts", 3);
  collect.add(Op::router, {tokens, layer.experts->count, layer.experts->used, 1}, "router");
  collect.add(Op::gated, {tokens * layer.experts->used, layer.experts->width, activation, 1}, "experts");
  collect.add(Op::scatter_add, {tokens, hidden}, "experts", layer.experts->used);
}

void vision_uses(Collector& collect, const VisionPlan& vision, int patches) {
  const int hidden = vision.hidden, activation = activation_of(vision.activation);
  if (vision.encoder_free) {
    collect.add(Op::layer_norm, {patches, vision.patch_values}, "vision.patch_ln1");
    collect.add(Op::layer_norm, {patches, hidden}, "vision.patch_ln2, vision.pos_norm", 2);
    collect.add(Op::patch_positions, {patches, hidden, vision.positions, 1}, "vision");
    collect.add(Op::rms_norm, {patches, hidden}, "vision.project");
    return;
  }
  collect.add(Op::standardize, {patches, vision.patch_values, 0}, "vision.pixels");
  collect.add(Op::patch_positions, {patches, hidden, vision.positions, 0}, "vision");
  for (const VisionLayerPlan& layer : vision.layers) {
    const int d = layer.head_dim;
    collect.add(Op::rms_norm, {patches, hidden}, "vision.layernorms", 2);
    collect.add(Op::rms_norm, {patches * layer.heads, d}, "vision.q_norm");
    collect.add(Op::rms_norm, {patches * layer.kv_heads, d}, "vision.k_norm, vision.v_norm", 2);
    collect.add(Op::rope, {patches, layer.heads, d, 2, 1}, "vision.q");
    collect.add(Op::rope, {patches, layer.kv_heads, d, 2, 1}, "vision.k");
    collect.add(Op::attention, {patches, layer.heads, layer.kv_heads, d, patches, 0, 0, 0, kSeesAll}, "vision");
    collect.add(Op::norm_add, {patches, hidden}, "vision.layernorms", 2);
    collect.add(Op::gated, {patches, layer.ffn_width, activation, 0}, "vision.mlp");
    if (layer.clipped) {
      collect.add(Op::clamp, {patches, hidden, 1}, "vision.linears", 4);
      collect.add(Op::clamp, {patches, layer.ffn_width, 1}, "vision.linears", 3);
    }
  }
  const int soft = patches / (vision.pool * vision.pool);
  collect.add(Op::pool, {soft, hidden, vision.pool * vision.pool}, "vision");
  if (vision.standardize) collect.add(Op::standardize, {soft, hidden, 0}, "vision");
  collect.add(Op::rms_norm, {soft, hidden}, "vision.project");
}

void audio_uses(Collector& collect, const AudioPlan& audio, int frames) {
  if (audio.encoder_free) {
    collect.add(Op::rms_norm, {frames, audio.output}, "audio.project");
    return;
  }
  const int hidden = audio.hidden, half = (frames + 1) / 2, rows = (half + 1) / 2, bins = (audio.features + 1) / 2;
  const int first = audio.channels[0], second = audio.channels[1];
  collect.add(Op::conv2d, {frames, audio.features, 1, first}, "audio.subsample");
  collect.add(Op::layer_norm, {half * bins, first}, "audio.subsample");
  collect.add(Op::activate, {half * bins, first, kRelu, 1}, "audio.subsample");
  collect.add(Op::conv2d, {half, bins, first, second}, "audio.subsample");
  collect.add(Op::layer_norm, {rows * audio.frequencies, second}, "audio.subsample");
  collect.add(Op::activate, {rows * audio.frequencies, second, kRelu, 1}, "audio.subsample");
  for (const AudioLayerPlan& layer : audio.layers) {
    collect.add(Op::rms_norm, {rows, hidden}, "audio.norms", 9);
    collect.add(Op::clamp, {rows, hidden, 1}, "audio.clamps", 6);
    collect.add(Op::activate, {rows, layer.ffn_width, activation_of(layer.activation), 1}, "audio.ffn", 2);
    collect.add(Op::add, {rows, hidden, 0}, "audio.residual", 4);
    collect.add(Op::standardize, {rows * layer.heads, layer.head_dim, 1}, "audio.q, audio.k", 2);
    collect.add(Op::rel_attention, {rows, layer.heads, layer.head_dim, layer.chunk, layer.past, layer.future, 0},
                "audio");
    collect.add(Op::gated, {rows, hidden, kSigmoid, 1}, "audio.lconv");
    collect.add(Op::depthwise_conv, {rows, hidden, layer.kernel}, "audio.lconv");
    collect.add(Op::activate, {rows, hidden, activation_of(layer.activation), 1}, "audio.lconv");
  }
  collect.add(Op::add, {rows, audio.output, 1}, "audio.output bias");
  collect.add(Op::rms_norm, {rows, audio.output}, "audio.project");
}

}  // namespace

std::vector<KernelUse> text_uses(const Plan& plan, const Pass& pass) {
  Collector collect;
  collect.products(text_work(plan, pass));
  const int layers = int(plan.layers.size()), tokens = pass.tokens, end = pass.cached + tokens;
  const int wanted = std::min(pass.wanted, tokens), last_own = last_with_kv(plan);
  collect.add(Op::gather, {tokens, kTableRows, plan.hidden}, "embed_tokens");
  if (plan.ple_width > 0) {
    collect.add(Op::gather, {tokens, kTableRows, layers * plan.ple_width}, "embed_tokens_per_layer");
    collect.add(Op::ple_mix, {tokens * layers, plan.ple_width, 1}, "ple");
  }
  std::vector<bool> lends(std::size_t(layers), false);
  for (const LayerPlan& layer : plan.layers)
    if (layer.kv.kind == KvSource::earlier) lends[std::size_t(layer.kv.layer)] = true;
  for (int i = 0; i < layers; ++i)
    layer_uses(collect, plan, plan.layers[std::size_t(i)], i < last_own ? tokens : wanted,
               i <= last_own ? tokens : wanted, end, lends[std::size_t(i)]);
  collect.add(Op::rms_norm, {wanted, plan.hidden}, "norm");
  if (plan.softcap > 0) collect.add(Op::softcap, {64 * wanted, plan.vocab / 64, 1}, "head");
  return collect.take();
}

std::vector<KernelUse> tower_uses(const Plan& plan, int patches, int frames) {
  Collector collect;
  if (plan.vision) {
    collect.products(vision_work(plan, patches));
    vision_uses(collect, *plan.vision, patches);
  }
  if (plan.audio) {
    collect.products(audio_work(plan, frames));
    audio_uses(collect, *plan.audio, frames);
  }
  return collect.take();
}

void merge(std::vector<KernelUse>& into, const std::vector<KernelUse>& more) {
  for (const KernelUse& use : more) {
    const auto same = [&](const KernelUse& known) { return known.op == use.op && known.shape == use.shape; };
    const auto known = std::find_if(into.begin(), into.end(), same);
    if (known == into.end()) {
      into.push_back(use);
      continue;
    }
    known->calls = std::max(known->calls, use.calls);
    add_parts(known->parts, use.parts);
  }
}

std::vector<KernelUse> real_uses(const Plan& plan) {
  std::vector<KernelUse> all = text_uses(plan, {.tokens = 1, .cached = kRealDepth, .wanted = 1});
  for (const int prompt : kRealPrompts) merge(all, text_uses(plan, {.tokens = prompt, .cached = 0, .wanted = 1}));
  merge(all, tower_uses(plan, kRealPatches, kRealFrames));
  return all;
}

Shape cut(const OpInfo& op, kernels::Format format, kernels::Acts acts, Shape shape, double bytes, double flops) {
  const auto within = [&](const Shape& s) {
    const kernels::Cost cost = op.cost(format, acts, s);
    return cost.bytes <= bytes && cost.flops <= flops;
  };
  constexpr int kFewest = 48;  // more than any kernel's block of rows or tokens
  for (const std::string_view name : {"rows", "tokens"}) {
    const auto dim = std::find(op.dims.begin(), op.dims.end(), name);
    if (dim == op.dims.end()) continue;
    int& value = shape[std::size_t(dim - op.dims.begin())];
    while (!within(shape) && value > kFewest) {
      const int before = value;
      value = std::max(kFewest, value / 2);
      if (!op.invalid(format, acts, shape).empty()) {
        value = before;
        break;
      }
    }
  }
  return shape;
}

}  // namespace assay
