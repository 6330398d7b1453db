#include "reference/towers.h"

#include <string>
#include <utility>

namespace assay::reference {
namespace {

VisionLayerWeights read_layer(TensorReader& reader, const VisionLayerPlan& plan, int hidden, std::size_t index) {
  const std::string at = "model.vision_tower.encoder.layers." + std::to_string(index) + ".", attn = at + "self_attn.";
  VisionLayerWeights w;
  w.input_layernorm = reader.vector(at + "input_layernorm.weight");
  w.post_attention_layernorm = reader.vector(at + "post_attention_layernorm.weight");
  w.pre_feedforward_layernorm = reader.vector(at + "pre_feedforward_layernorm.weight");
  w.post_feedforward_layernorm = reader.vector(at + "post_feedforward_layernorm.weight");
  w.q_proj = reader.clipped(attn + "q_proj", plan.q_width(), hidden, plan.clipped);
  w.k_proj = reader.clipped(attn + "k_proj", plan.kv_width(), hidden, plan.clipped);
  w.v_proj = reader.clipped(attn + "v_proj", plan.kv_width(), hidden, plan.clipped);
  w.o_proj = reader.clipped(attn + "o_proj", hidden, plan.q_width(), plan.clipped);
  w.q_norm = reader.vector(attn + "q_norm.weight");
  w.k_norm = reader.vector(attn + "k_norm.weight");
  w.gate_proj = reader.clipped(at + "mlp.gate_proj", plan.ffn_width, hidden, plan.clipped);
  w.up_proj = reader.clipped(at + "mlp.up_proj", plan.ffn_width, hidden, plan.clipped);
  w.down_proj = reader.clipped(at + "mlp.down_proj", hidden, plan.ffn_width, plan.clipped);
  return w;
}

void read_tower(TensorReader& reader, const VisionPlan& plan, VisionWeights& w) {
  const std::string at = "model.vision_tower.";
  w.input_proj = reader.matrix(at + "patch_embedder.input_proj.weight", plan.hidden, plan.patch_values);
  // [2, positions, hidden]: x, then y.
  w.positions_x = reader.matrix(at + "patch_embedder.position_embedding_table", plan.positions, plan.hidden);
  w.positions_y = w.positions_x.part(1);
  if (!plan.standardize) return;
  w.std_bias = reader.vector(at + "std_bias");
  w.std_scale = reader.vector(at + "std_scale");
}

void read_embedder(TensorReader& reader, const VisionPlan& plan, VisionWeights& w) {
  const std::string at = "model.vision_embedder.";
  w.patch_ln1 = reader.vector(at + "patch_ln1.weight");
  w.patch_ln1_bias = reader.vector(at + "patch_ln1.bias");
  w.patch_ln2 = reader.vector(at + "patch_ln2.weight");
  w.patch_ln2_bias = reader.vector(at + "patch_ln2.bias");
  w.pos_norm = reader.vector(at + "pos_norm.weight");
  w.pos_norm_bias = reader.vector(at + "pos_norm.bias");
  w.patch_dense = reader.matrix(at + "patch_dense.weight", plan.hidden, plan.patch_values);
  w.patch_dense_bias = reader.vector(at + "patch_dense.bias");
  // [positions, 2, hidden]: a row of x, then one of y.
  const std::vector<float> both = reader.vector(at + "pos_embedding");
  const auto hidden = std::ptrdiff_t(plan.hidden);
  std::vector<float> x, y;
  for (auto row = both.begin(); row != both.end(); row += 2 * hidden) {
    x.insert(x.end(), row, row + hidden);
    y.insert(y.end(), row + hidden, row + 2 * hidden);
  }
  w.positions_x = Weight::own(plan.positions, plan.hidden, std::move(x));
  w.positions_y = Weight::own(plan.positions, plan.hidden, std::move(y));
}

AudioLayerWeights read_layer(TensorReader& reader, const AudioLayerPlan& plan, int hidden, std::size_t index) {
  const std::string at = "model.audio_tower.layers." + std::to_string(index) + ".", attn = at + "self_attn.";
  const auto feed_forward = [&](const std::string& part) {
    FeedForwardWeights w;
    w.pre_layer_norm = reader.vector(at + part + ".pre_layer_norm.weight");
    w.post_layer_norm = reader.vector(at + part + ".post_layer_norm.weight");
    w.ffw_layer_1 = reader.clipped(at + part + ".ffw_layer_1", plan.ffn_width, hidden, plan.clipped);
    w.ffw_layer_2 = reader.clipped(at + part + ".ffw_layer_2", hidden, plan.ffn_width, plan.clipped);
    return w;
  };
  AudioLayerWeights w;
  w.feed_forward1 = feed_forward("feed_forward1");
  w.feed_forward2 = feed_forward("feed_forward2");
  w.norm_pre_attn = reader.vector(at + "norm_pre_attn.weight");
  w.norm_post_attn = reader.vector(at + "norm_post_attn.weight");
  w.norm_out = reader.vector(at + "norm_out.weight");
  w.q_proj = reader.clipped(attn + "q_proj", hidden, hidden, plan.clipped);
  w.k_proj = reader.clipped(attn + "k_proj", hidden, hidden, plan.clipped);
  w.v_proj = reader.clipped(attn + "v_proj", hidden, hidden, plan.clipped);
  w.post = reader.clipped(attn + "post", hidden, hidden, plan.clipped);
  w.relative_k_proj = reader.matrix(attn + "relative_k_proj.weight", hidden, hidden);
  w.per_dim_scale = reader.vector(attn + "per_dim_scale");
  w.conv_pre_layer_norm = reader.vector(at + "lconv1d.pre_layer_norm.weight");
  w.conv_norm = reader.vector(at + "lconv1d.conv_norm.weight");
  w.linear_start = reader.clipped(at + "lconv1d.linear_start", 2 * hidden, hidden, plan.clipped);
  w.linear_end = reader.clipped(at + "lconv1d.linear_end", hidden, hidden, plan.clipped);
  w.depthwise_conv1d = reader.matrix(at + "lconv1d.depthwise_conv1d.weight", hidden, plan.kernel);
  return w;
}

void read_tower(TensorReader& reader, const AudioPlan& plan, AudioWeights& w) {
  const std::string at = "model.audio_tower.";
  for (int i = 0; i < 2; ++i) {
    const std::string layer = at + "subsample_conv_projection.layer" + std::to_string(i) + ".";
    w.conv[i] = reader.matrix(layer + "conv.weight", plan.channels[i], 9 * (i == 0 ? 1 : plan.channels[0]));
    w.conv_norm[i] = reader.vector(layer + "norm.weight");
  }
  w.input_proj_linear = reader.matrix(at + "subsample_conv_projection.input_proj_linear.weight", plan.hidden,
                                      plan.frequencies * plan.channels[1]);
  w.output_proj = reader.matrix(at + "output_proj.weight", plan.output, plan.hidden);
  w.output_bias = reader.vector(at + "output_proj.bias");
}

}  // namespace

Vision assemble_vision(TensorReader& reader, const VisionPlan& plan, int hidden) {
  Vision vision{.plan = plan, .weights = {}, .ops = vision_ops(plan.encoder_free), .layers = {}};
  if (plan.encoder_free)
    read_embedder(reader, plan, vision.weights);
  else
    read_tower(reader, plan, vision.weights);
  vision.weights.embedding_projection =
      reader.matrix("model.embed_vision.embedding_projection.weight", hidden, plan.hidden);
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    vision.layers.push_back({.index = int(i),
                             .eps = plan.eps,
                             .activation = plan.activation,
                             .plan = plan.layers[i],
                             .weights = read_layer(reader, plan.layers[i], plan.hidden, i),
                             .ops = vision_layer_ops()});
  return vision;
}

Audio assemble_audio(TensorReader& reader, const AudioPlan& plan, int hidden) {
  Audio audio{.plan = plan, .weights = {}, .ops = audio_ops(), .layers = {}};
  if (!plan.encoder_free) read_tower(reader, plan, audio.weights);
  audio.weights.embedding_projection =
      reader.matrix("model.embed_audio.embedding_projection.weight", hidden, plan.output);
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    audio.layers.push_back({.index = int(i),
                            .hidden = plan.hidden,
                            .plan = plan.layers[i],
                            .weights = read_layer(reader, plan.layers[i], plan.hidden, i),
                            .ops = audio_layer_ops()});
  return audio;
}

}  // namespace assay::reference
