#include "reference/blocks.h"

#include "support.h"

namespace assay::reference {
namespace {

Layer layer_of(int hidden, float eps = 1e-6F) {
  return {.index = 0, .hidden = hidden, .eps = eps, .plan = {}, .weights = {}, .ops = layer_ops()};
}

}  // namespace

TEST(Blocks, MlpIsTransformers) {
  for (const std::string& name : OpData::cases("mlp")) {
    SCOPED_TRACE(name);
    const OpData data(name);
    const Grid x = data.grid("x");
    Layer layer = layer_of(x.cols);
    layer.weights.gate_proj = data.weight("gate");
    layer.weights.up_proj = data.weight("up");
    layer.weights.down_proj = data.weight("down");
    expect_near(data.floats("y"), mlp(layer, x.view()).values);
  }
}

TEST(Blocks, RouterIsTransformers) {
  const OpData data("router/eleven-four");
  const Grid x = data.grid("x");
  Layer layer = layer_of(x.cols, float(data.number("eps")));
  layer.weights.router_proj = data.weight("proj");
  layer.weights.router_scale = data.floats("scale");
  layer.weights.per_expert_scale = data.floats("per_expert_scale");
  layer.plan.experts = Experts{.count = 11, .used = int(data.number("used")), .width = 1};
  const Grid probs = route(layer, x.view());
  expect_near(data.floats("probs"), probs.values);
  expect_near(data.floats("topk"), choose(layer, probs.view()).values);
}

TEST(Blocks, ExpertsAreTransformers) {
  const OpData data("experts/eleven-four");
  const Grid x = data.grid("x"), topk = data.grid("topk");
  Layer layer = layer_of(x.cols, 0);
  layer.ops.rms_norm = [](Rows<float>, std::span<const float>, float) {};  // the data start after the norm
  layer.plan.experts = Experts{.count = 11, .used = int(data.number("used")), .width = int(data.number("width"))};
  layer.weights.experts_gate_up = data.weight("gate_up");
  layer.weights.experts_down = data.weight("down");
  expect_near(data.floats("y"), experts(layer, x.view(), topk.view()).values);
}

TEST(Blocks, PerLayerInputsAreTransformers) {
  const OpData data("ple_inputs/six-layers");
  const Grid embeds = data.grid("embeds");
  Parts parts;
  parts.ops = model_ops();
  parts.plan.hidden = embeds.cols;
  parts.plan.ple_width = int(data.number("width"));
  parts.plan.eps = float(data.number("eps"));
  parts.plan.layers.resize(std::size_t(data.number("layers")));
  parts.weights.embed_tokens_per_layer = data.weight("table");
  parts.weights.per_layer_model_projection = data.weight("projection");
  parts.weights.per_layer_projection_norm = data.floats("norm");
  expect_near(data.floats("y"), ple_inputs(parts, data.integers("ids"), embeds.view()).values);
}

TEST(Blocks, PerLayerBranchIsTransformers) {
  const OpData data("ple_branch/one-layer");
  const Grid x = data.grid("x"), input = data.grid("input");
  Layer layer = layer_of(x.cols, float(data.number("eps")));
  layer.weights.per_layer_input_gate = data.weight("gate");
  layer.weights.per_layer_projection = data.weight("projection");
  layer.weights.post_per_layer_input_norm = data.floats("norm");
  expect_near(data.floats("y"), ple_branch(layer, x.view(), input.view()).values);
}

TEST(Blocks, ValueIsForkedBeforeTheKeyNorm) {
  Layer layer = layer_of(2);
  layer.plan = {.q_heads = 1, .kv_heads = 1, .head_dim = 2, .kv = {}, .value_is_key = true, .rope = {}, .experts = {}};
  layer.weights.k_proj = Weight::own(2, 2, {1, 0, 0, 1});
  layer.weights.k_norm = {10, 100};
  const std::vector<float> x = {3, 4};
  const KeysValues kv = project_kv(layer, {x.data(), 1, 2});
  const float rms = std::sqrt(12.5F);
  expect_near(std::vector<float>{30 / rms, 400 / rms}, kv.k.values);
  expect_near(std::vector<float>{3 / rms, 4 / rms}, kv.v.values);
}

TEST(Blocks, TailScalesEverything) {
  Layer layer = layer_of(2);
  layer.weights.layer_scalar = 0.5F;
  const std::vector<float> x = {1, 2}, ple = {3, 4};
  EXPECT_EQ(tail(layer, {x.data(), 1, 2}, {ple.data(), 1, 2}).values, (std::vector<float>{2, 3}));
  EXPECT_EQ(tail(layer, {x.data(), 1, 2}, {}).values, (std::vector<float>{0.5F, 1}));
}

}  // namespace assay::reference
