#include "harness/kernel/work.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

/// Experts hit when each of `tokens` rows chooses `used` of `count` uniformly, rounded; at least `used`.
int experts_hit(const Experts& experts, int tokens) {
  const double missed = std::pow(1 - double(experts.used) / experts.count, tokens);
  return std::clamp(int(std::lround(experts.count * (1 - missed))), experts.used, experts.count);
}

class Builder {
 public:
  void product(const std::string& part, const std::string& tensor, int rows, int cols, int tokens) {
    if (rows < 1 || tokens < 1) return;
    work_.products.push_back({.part = part,
                              .tensor = tensor,
                              .rows = rows,
                              .cols = cols,
                              .tokens = tokens,
                              .calls = 1,
                              .vectors = double(tokens)});
  }

  void experts(const std::string& part, const std::string& tensor, int rows, int cols, int tokens, const Experts& e) {
    const int hit = experts_hit(e, tokens);
    const double vectors = double(tokens) * e.used;
    work_.products.push_back({.part = part,
                              .tensor = tensor,
                              .rows = rows,
                              .cols = cols,
                              .tokens = std::max(1, int(std::lround(vectors / hit))),
                              .calls = hit,
                              .vectors = vectors});
  }

  /// The last `queries` of `end` positions, causal.
  void attention(int index, const LayerPlan& layer, int queries, int end) {
    const int window = layer.window;
    double pairs = 0;
    for (int p = end - queries; p < end; ++p) pairs += window == 0 ? p + 1 : std::min(p + 1, window);
    work_.attention.push_back({.part = "attn",
                               .layer = index,
                               .queries = queries,
                               .heads = layer.q_heads,
                               .kv_heads = layer.kv_heads,
                               .head_dim = layer.head_dim,
                               .window = window,
                               .keys = window == 0 ? end : std::min(end, queries + window - 1),
                               .pairs = pairs});
  }

  void attention(Attending attending) { work_.attention.push_back(std::move(attending)); }
  void lookup(const std::string& tensor, int rows, int cols) { work_.lookups.push_back({tensor, rows, cols}); }
  ModelWork take() { return std::move(work_); }

 private:
  ModelWork work_;
};

/// @param tokens  rows that the layer's result is needed of
/// @param kv      rows that its K and V are needed of
/// @param end     positions, those of the call included
void layer_work(Builder& build, const Plan& plan, int index, int tokens, int kv, int end) {
  const LayerPlan& layer = plan.layers[std::size_t(index)];
  const std::string at = "layers." + std::to_string(index) + ".";
  const int hidden = plan.hidden;
  build.product("attn.q", at + "self_attn.q_proj.weight", layer.q_width(), hidden, tokens);
  if (layer.kv.kind == KvSource::own) {
    build.product("attn.k", at + "self_attn.k_proj.weight", layer.kv_width(), hidden, kv);
    if (!layer.value_is_key) build.product("attn.v", at + "self_attn.v_proj.weight", layer.kv_width(), hidden, kv);
  }
  build.attention(index, layer, tokens, end);
  build.product("attn.out", at + "self_attn.o_proj.weight", hidden, layer.q_width(), tokens);
  build.product("mlp.gate", at + "mlp.gate_proj.weight", layer.ffn_width, hidden, tokens);
  build.product("mlp.up", at + "mlp.up_proj.weight", layer.ffn_width, hidden, tokens);
  build.product("mlp.down", at + "mlp.down_proj.weight", hidden, layer.ffn_width, tokens);
  if (layer.experts) {
    const Experts& e = *layer.experts;
    build.product("router", at + "router.proj.weight", e.count, hidden, tokens);
    build.experts("experts.gate_up", at + "experts.gate_up_proj", 2 * e.width, hidden, tokens, e);
    build.experts("experts.down", at + "experts.down_proj", hidden, e.width, tokens, e);
  }
  if (layer.ple_width > 0) {
    build.product("ple.gate", at + "per_layer_input_gate.weight", layer.ple_width, hidden, tokens);
    build.product("ple.out", at + "per_layer_projection.weight", hidden, layer.ple_width, tokens);
  }
}

}  // namespace

int last_with_kv(const Plan& plan) {
  int last = -1;
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    if (plan.layers[i].kv.kind == KvSource::own) last = int(i);
  return last;
}

ModelWork text_work(const Plan& plan, const Pass& pass) {
  Builder build;
  const int layers = int(plan.layers.size()), end = pass.cached + pass.tokens;
  const int wanted = std::min(pass.wanted, pass.tokens);
  const int last_own = last_with_kv(plan);
  build.lookup("embed_tokens.weight", pass.tokens, plan.hidden);
  if (plan.ple_width > 0) {
    build.lookup("embed_tokens_per_layer.weight", pass.tokens, layers * plan.ple_width);
    // One matrix holds all layers' parts: those of layers that all rows go through are needed for all rows.
    const int full = wanted == pass.tokens ? layers : std::max(last_own, 0);
    const std::string tensor = "per_layer_model_projection.weight";
    build.product("ple.in", tensor, full * plan.ple_width, plan.hidden, pass.tokens);
    build.product("ple.in", tensor, (layers - full) * plan.ple_width, plan.hidden, wanted);
  }
  for (int i = 0; i < layers; ++i)
    layer_work(build, plan, i, i < last_own ? pass.tokens : wanted, i <= last_own ? pass.tokens : wanted, end);
  build.product("head", plan.tied_head ? "embed_tokens.weight" : "lm_head.weight", plan.vocab, plan.hidden, wanted);
  return build.take();
}

ModelWork vision_work(const Plan& plan, int patches) {
  Builder build;
  const VisionPlan& vision = *plan.vision;
  const std::string project = "model.embed_vision.embedding_projection.weight";
  if (vision.encoder_free) {
    build.product("vision.patch", "model.vision_embedder.patch_dense.weight", vision.hidden, vision.patch_values,
                  patches);
    build.product("vision.project", project, plan.hidden, vision.hidden, patches);
    return build.take();
  }
  const std::string tower = "model.vision_tower.";
  build.product("vision.patch", tower + "patch_embedder.input_proj.weight", vision.hidden, vision.patch_values,
                patches);
  for (std::size_t i = 0; i < vision.layers.size(); ++i) {
    const VisionLayerPlan& layer = vision.layers[i];
    const std::string at = tower + "encoder.layers." + std::to_string(i) + ".";
    const auto product = [&](const char* part, const char* name, int rows, int cols) {
      build.product(std::string("vision.") + part, at + name + ".linear.weight", rows, cols, patches);
    };
    product("attn.q", "self_attn.q_proj", layer.q_width(), vision.hidden);
    product("attn.k", "self_attn.k_proj", layer.kv_width(), vision.hidden);
    product("attn.v", "self_attn.v_proj", layer.kv_width(), vision.hidden);
    product("attn.out", "self_attn.o_proj", vision.hidden, layer.q_width());
    product("mlp.gate", "mlp.gate_proj", layer.ffn_width, vision.hidden);
    product("mlp.up", "mlp.up_proj", layer.ffn_width, vision.hidden);
    product("mlp.down", "mlp.down_proj", vision.hidden, layer.ffn_width);
    build.attention({.part = "vision.attn",
                     .layer = int(i),
                     .queries = patches,
                     .heads = layer.heads,
                     .kv_heads = layer.kv_heads,
                     .head_dim = layer.head_dim,
                     .window = 0,
                     .keys = patches,
                     .pairs = double(patches) * patches});
  }
  build.product("vision.project", project, plan.hidden, vision.hidden, patches / (vision.pool * vision.pool));
  return build.take();
}

ModelWork audio_work(const Plan& plan, int frames) {
  Builder build;
  const AudioPlan& audio = *plan.audio;
  const std::string project = "model.embed_audio.embedding_projection.weight";
  if (audio.encoder_free) {
    build.product("audio.project", project, plan.hidden, audio.output, frames);
    return build.take();
  }
  // Two convolutions of stride 2 over time and frequency, counted as products with 9 inputs a channel.
  const int half = (frames + 1) / 2, rows = (half + 1) / 2, hidden = audio.hidden;
  const int first = audio.channels[0], second = audio.channels[1];
  const std::string tower = "model.audio_tower.", subsample = tower + "subsample_conv_projection.";
  build.product("audio.conv", subsample + "layer0.conv.weight", first, 9, half * ((audio.features + 1) / 2));
  build.product("audio.conv", subsample + "layer1.conv.weight", second, 9 * first, rows * audio.frequencies);
  build.product("audio.in", subsample + "input_proj_linear.weight", hidden, audio.frequencies * second, rows);
  for (std::size_t i = 0; i < audio.layers.size(); ++i) {
    const AudioLayerPlan& layer = audio.layers[i];
    const std::string at = tower + "layers." + std::to_string(i) + ".";
    const auto product = [&](const char* part, const std::string& name, int m, int n) {
      build.product(std::string("audio.") + part, at + name + ".linear.weight", m, n, rows);
    };
    for (const char* ffn : {"feed_forward1", "feed_forward2"}) {
      product("mlp.up", std::string(ffn) + ".ffw_layer_1", layer.ffn_width, hidden);
      product("mlp.down", std::string(ffn) + ".ffw_layer_2", hidden, layer.ffn_width);
    }
    for (const char* name : {"q_proj", "k_proj", "v_proj", "post"})
      product("attn", std::string("self_attn.") + name, hidden, hidden);
    product("lconv.in", "lconv1d.linear_start", 2 * hidden, hidden);
    product("lconv.out", "lconv1d.linear_end", hidden, hidden);
    build.attention({.part = "audio.attn",
                     .layer = int(i),
                     .queries = rows,
                     .heads = layer.heads,
                     .kv_heads = layer.heads,
                     .head_dim = layer.head_dim,
                     .window = layer.past + layer.future + 1,
                     .keys = rows,
                     .pairs = double(rows) * std::min(rows, layer.past + layer.future + 1)});
  }
  build.product("audio.out", tower + "output_proj.weight", audio.output, hidden, rows);
  build.product("audio.project", project, plan.hidden, audio.output, rows);
  return build.take();
}

Must must_of(const ModelWork& work, const MustOptions& options) {
  Must must;
  for (const Product& product : work.products) {
    const double values = double(product.rows) * product.cols;
    must.bytes += options.bytes(product.tensor, values * product.calls);
    must.flops[options.roof_of ? options.roof_of(product.tensor) : options.roof] += 2 * values * product.vectors;
  }
  for (const Attending& attention : work.attention) {
    must.bytes += 2 * options.kv_bytes * attention.keys * attention.kv_heads * attention.head_dim;
    must.flops[options.roof] += 4 * attention.pairs * attention.heads * attention.head_dim;
  }
  for (const Lookup& lookup : work.lookups)
    must.bytes += options.bytes(lookup.tensor, double(lookup.rows) * lookup.cols);
  return must;
}

}  // namespace assay
