#include "engine/cpu/weights.h"

#include <cmath>
#include <string>

namespace assay::cpu {
namespace {

LayerWeights load_layer(Loader& loader, const LayerPlan& plan, int hidden, std::size_t index) {
  const std::string at = "layers." + std::to_string(index) + ".", attn = at + "self_attn.";
  LayerWeights w;
  w.input_layernorm = loader.vector(at + "input_layernorm.weight");
  w.post_attention_layernorm = loader.vector(at + "post_attention_layernorm.weight");
  w.pre_feedforward_layernorm = loader.vector(at + "pre_feedforward_layernorm.weight");
  w.post_feedforward_layernorm = loader.vector(at + "post_feedforward_layernorm.weight");
  w.layer_scalar = loader.scalar(at + "layer_scalar", 1.0F);

  const auto linear = [&](const std::string& name, int rows, int cols) {
    Matrix matrix = loader.matrix(attn + name + ".weight", rows, cols);
    if (plan.attention_bias) matrix.bias = loader.vector(attn + name + ".bias");
    return matrix;
  };
  w.q_proj = linear("q_proj", plan.q_width(), hidden);
  w.o_proj = linear("o_proj", hidden, plan.q_width());
  w.q_norm = loader.vector(attn + "q_norm.weight");
  if (plan.kv.kind == KvSource::own) {
    w.k_proj = linear("k_proj", plan.kv_width(), hidden);
    w.k_norm = loader.vector(attn + "k_norm.weight");
    if (!plan.value_is_key) w.v_proj = linear("v_proj", plan.kv_width(), hidden);
  }
  w.gate_proj = loader.matrix(at + "mlp.gate_proj.weight", plan.ffn_width, hidden);
  w.up_proj = loader.matrix(at + "mlp.up_proj.weight", plan.ffn_width, hidden);
  w.down_proj = loader.matrix(at + "mlp.down_proj.weight", hidden, plan.ffn_width);
  if (plan.ple_width > 0) {
    w.per_layer_input_gate = loader.matrix(at + "per_layer_input_gate.weight", plan.ple_width, hidden);
    w.per_layer_projection = loader.matrix(at + "per_layer_projection.weight", hidden, plan.ple_width);
    w.post_per_layer_input_norm = loader.vector(at + "post_per_layer_input_norm.weight");
  }
  if (plan.experts) {
    const auto [count, used, width] = *plan.experts;
    w.router_proj = loader.exact(at + "router.proj.weight", count, hidden);
    w.router_scale = loader.vector(at + "router.scale");
    for (float& scale : w.router_scale) scale *= float(std::pow(double(hidden), -0.5));
    w.per_expert_scale = loader.vector(at + "router.per_expert_scale");
    w.experts_gate_up = loader.matrix(at + "experts.gate_up_proj", 2 * width, hidden);
    w.experts_down = loader.matrix(at + "experts.down_proj", hidden, width);
    w.post_feedforward_layernorm_1 = loader.vector(at + "post_feedforward_layernorm_1.weight");
    w.pre_feedforward_layernorm_2 = loader.vector(at + "pre_feedforward_layernorm_2.weight");
    w.post_feedforward_layernorm_2 = loader.vector(at + "post_feedforward_layernorm_2.weight");
  }
  return w;
}

}  // namespace

std::vector<Matrix*> dense_matrices(std::vector<LayerWeights>& layers) {
  std::vector<Matrix*> all;
  for (LayerWeights& w : layers)
    for (Matrix* matrix : {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.gate_proj, &w.up_proj, &w.down_proj,
                           &w.per_layer_input_gate, &w.per_layer_projection, &w.router_proj})
      if (!matrix->empty()) all.push_back(matrix);
  return all;
}

std::int64_t work_of_an_op(const std::vector<LayerWeights>& layers) {
  constexpr std::int64_t kOps = 16;  // between barriers of a layer
  std::int64_t work = 0;
  for (const LayerWeights& w : layers)
    for (const Matrix* matrix : {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.gate_proj, &w.up_proj, &w.down_proj})
      work += std::int64_t{matrix->w.rows} * matrix->w.cols;
  return layers.empty() ? 0 : work / (kOps * std::int64_t(layers.size()));
}

TextWeights load_text(Loader& loader, const Plan& plan) {
  TextWeights w;
  const int layers = int(plan.layers.size());
  w.embed_tokens = loader.matrix("embed_tokens.weight", plan.vocab, plan.hidden);
  w.lm_head = plan.tied_head ? w.embed_tokens : loader.matrix("lm_head.weight", plan.vocab, plan.hidden);
  w.norm = loader.vector("norm.weight");
  if (plan.ple_width > 0) {
    w.embed_tokens_per_layer = loader.exact("embed_tokens_per_layer.weight", plan.ple_vocab, layers * plan.ple_width);
    w.per_layer_model_projection =
        loader.matrix("per_layer_model_projection.weight", layers * plan.ple_width, plan.hidden);
    w.per_layer_projection_norm = loader.vector("per_layer_projection_norm.weight");
  }
  return w;
}

std::vector<LayerWeights> load_layers(Loader& loader, const Plan& plan) {
  std::vector<LayerWeights> layers;
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    layers.push_back(load_layer(loader, plan.layers[i], plan.hidden, i));
  return layers;
}

}  // namespace assay::cpu
