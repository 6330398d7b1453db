#include "reference/parts.h"

#include <string>
#include <utility>

#include "reference/tensor_reader.h"
#include "reference/towers.h"

namespace assay::reference {
namespace {

LayerWeights read_layer(TensorReader& reader, const LayerPlan& plan, int hidden, int index) {
  const std::string at = "layers." + std::to_string(index) + ".";
  const std::string attn = at + "self_attn.";
  LayerWeights w;
  w.input_layernorm = reader.vector(at + "input_layernorm.weight");
  w.post_attention_layernorm = reader.vector(at + "post_attention_layernorm.weight");
  w.pre_feedforward_layernorm = reader.vector(at + "pre_feedforward_layernorm.weight");
  w.post_feedforward_layernorm = reader.vector(at + "post_feedforward_layernorm.weight");
  w.layer_scalar = reader.scalar(at + "layer_scalar", 1.0F);

  const auto bias = [&](const std::string& name) {
    return plan.attention_bias ? reader.vector(attn + name + ".bias") : std::vector<float>{};
  };
  w.q_proj = reader.matrix(attn + "q_proj.weight", plan.q_width(), hidden);
  w.o_proj = reader.matrix(attn + "o_proj.weight", hidden, plan.q_width());
  w.q_bias = bias("q_proj");
  w.o_bias = bias("o_proj");
  w.q_norm = reader.vector(attn + "q_norm.weight");
  if (plan.kv.kind == KvSource::own) {
    w.k_proj = reader.matrix(attn + "k_proj.weight", plan.kv_width(), hidden);
    w.k_bias = bias("k_proj");
    w.k_norm = reader.vector(attn + "k_norm.weight");
    if (!plan.value_is_key) {
      w.v_proj = reader.matrix(attn + "v_proj.weight", plan.kv_width(), hidden);
      w.v_bias = bias("v_proj");
    }
  }

  w.gate_proj = reader.matrix(at + "mlp.gate_proj.weight", plan.ffn_width, hidden);
  w.up_proj = reader.matrix(at + "mlp.up_proj.weight", plan.ffn_width, hidden);
  w.down_proj = reader.matrix(at + "mlp.down_proj.weight", hidden, plan.ffn_width);

  if (plan.ple_width > 0) {
    w.per_layer_input_gate = reader.matrix(at + "per_layer_input_gate.weight", plan.ple_width, hidden);
    w.per_layer_projection = reader.matrix(at + "per_layer_projection.weight", hidden, plan.ple_width);
    w.post_per_layer_input_norm = reader.vector(at + "post_per_layer_input_norm.weight");
  }
  if (plan.experts) {
    w.router_proj = reader.matrix(at + "router.proj.weight", plan.experts->count, hidden);
    w.router_scale = reader.vector(at + "router.scale");
    w.per_expert_scale = reader.vector(at + "router.per_expert_scale");
    w.experts_gate_up = reader.matrix(at + "experts.gate_up_proj", 2 * plan.experts->width, hidden);
    w.experts_down = reader.matrix(at + "experts.down_proj", hidden, plan.experts->width);
    w.post_feedforward_layernorm_1 = reader.vector(at + "post_feedforward_layernorm_1.weight");
    w.pre_feedforward_layernorm_2 = reader.vector(at + "pre_feedforward_layernorm_2.weight");
    w.post_feedforward_layernorm_2 = reader.vector(at + "post_feedforward_layernorm_2.weight");
  }
  return w;
}

}  // namespace

Result<Parts> assemble(const Checkpoint& checkpoint) {
  Parts parts;
  parts.plan = checkpoint.plan;
  parts.ops = model_ops();
  const Plan& plan = parts.plan;
  const int layers = int(plan.layers.size());
  TensorReader reader(checkpoint);

  parts.weights.embed_tokens = reader.matrix("embed_tokens.weight", plan.vocab, plan.hidden);
  parts.weights.lm_head =
      plan.tied_head ? parts.weights.embed_tokens : reader.matrix("lm_head.weight", plan.vocab, plan.hidden);
  parts.weights.norm = reader.vector("norm.weight");
  if (plan.ple_width > 0) {
    parts.weights.embed_tokens_per_layer =
        reader.matrix("embed_tokens_per_layer.weight", plan.ple_vocab, layers * plan.ple_width);
    parts.weights.per_layer_model_projection =
        reader.matrix("per_layer_model_projection.weight", layers * plan.ple_width, plan.hidden);
    parts.weights.per_layer_projection_norm = reader.vector("per_layer_projection_norm.weight");
  }
  for (int i = 0; i < layers; ++i) {
    const LayerPlan& layer = plan.layers[std::size_t(i)];
    parts.layers.push_back({.index = i,
                            .hidden = plan.hidden,
                            .eps = plan.eps,
                            .activation = plan.activation,
                            .plan = layer,
                            .weights = read_layer(reader, layer, plan.hidden, i),
                            .ops = plan.assistant ? assistant_layer_ops() : layer_ops()});
  }
  if (plan.vision) parts.vision = assemble_vision(reader, *plan.vision, plan.hidden);
  if (plan.audio) parts.audio = assemble_audio(reader, *plan.audio, plan.hidden);
  ASSAY_CHECK(reader.finish());
  if (plan.assistant) {
    ASSAY_TRY(assistant, assemble_assistant(checkpoint));
    parts.assistant = std::move(assistant);
  }
  return parts;
}

}  // namespace assay::reference
