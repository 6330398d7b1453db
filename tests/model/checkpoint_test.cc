#include "model/checkpoint.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "model/safetensors.h"
#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Key;
using ::testing::Not;

/// Everything that a text model can have, as small as it gets: PLE, experts, biases, K = V, shared K/V.
json tiny() {
  return {{"model_type", "gemma4"},
          {"text_config",
           {{"vocab_size", 11},
            {"hidden_size", 6},
            {"intermediate_size", 5},
            {"num_hidden_layers", 3},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"num_global_key_value_heads", 1},
            {"attention_k_eq_v", true},
            {"head_dim", 2},
            {"global_head_dim", 4},
            {"layer_types", {"sliding_attention", "full_attention", "full_attention"}},
            {"num_kv_shared_layers", 1},
            {"use_double_wide_mlp", true},
            {"attention_bias", true},
            {"hidden_size_per_layer_input", 3},
            {"vocab_size_per_layer_input", 12},
            {"enable_moe_block", true},
            {"num_experts", 4},
            {"top_k_experts", 2},
            {"moe_intermediate_size", 7}}}};
}

Plan plan_of(const json& config) { return make_plan(parse_config(config.dump(), "c").value()).value(); }

/// The tensors of a checkpoint of `config`: element i of tensor t is 100 t + i.
std::vector<NamedTensor> tensors_of(const json& config, const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (const ExpectedTensor& expected : expected_tensors(plan_of(config))) {
    std::int64_t count = 1;
    for (const std::int64_t extent : expected.shape) count *= extent;
    std::vector<float> values(std::size_t(count), 0.0F);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(100 * tensors.size() + i);
    const bool head = expected.name == "lm_head.weight";
    tensors.push_back({(head ? "" : prefix) + expected.name, Tensor::own(expected.shape, std::move(values))});
  }
  return tensors;
}

class CheckpointTest : public ::testing::Test {
 protected:
  Result<Checkpoint> open(const json& config, const std::vector<NamedTensor>& tensors) {
    put(directory_ / "config.json", config.dump());
    EXPECT_EQ(message_of(write_safetensors(directory_ / "model.safetensors", tensors)), "no failure");
    return Checkpoint::open(directory_.path());
  }
  /// Shard i holds every tensor whose place is i modulo the number of shards.
  void write_shards(const json& config, const std::vector<NamedTensor>& tensors, std::size_t shards) {
    put(directory_ / "config.json", config.dump());
    json map;
    for (std::size_t shard = 0; shard < shards; ++shard) {
      const std::string name = "model-" + std::to_string(shard) + ".safetensors";
      std::vector<NamedTensor> part;
      for (std::size_t i = shard; i < tensors.size(); i += shards) {
        part.push_back(tensors[i]);
        map[tensors[i].name] = name;
      }
      EXPECT_TRUE(write_safetensors(directory_ / name, part));
    }
    put(index(), json{{"weight_map", map}}.dump());
  }
  std::filesystem::path index() const { return directory_ / "model.safetensors.index.json"; }
  Result<Checkpoint> reopen() const { return Checkpoint::open(directory_.path()); }

  Temporary directory_;
};

NamedTensor& named(std::vector<NamedTensor>& tensors, std::string_view name) {
  return *std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& t) { return t.name == name; });
}
void drop(std::vector<NamedTensor>& tensors, std::string_view name) {
  std::erase_if(tensors, [&](const NamedTensor& t) { return t.name == name; });
}

TEST(ExpectedTensors, AreTheParametersOfTheTextModel) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const ExpectedTensor& expected : expected_tensors(plan_of(tiny()))) {
    EXPECT_TRUE(shapes.emplace(expected.name, expected.shape).second) << expected.name;
  }
  using Shapes = std::map<std::string, std::vector<std::int64_t>>;
  EXPECT_THAT(shapes, IsSupersetOf(Shapes{{"embed_tokens.weight", {11, 6}},
                                          {"norm.weight", {6}},
                                          {"embed_tokens_per_layer.weight", {12, 9}},
                                          {"per_layer_model_projection.weight", {9, 6}},
                                          {"per_layer_projection_norm.weight", {3}},
                                          {"layers.0.layer_scalar", {1}},
                                          {"layers.0.self_attn.q_proj.weight", {8, 6}},
                                          {"layers.0.self_attn.k_proj.weight", {4, 6}},
                                          {"layers.0.self_attn.v_proj.weight", {4, 6}},
                                          {"layers.0.self_attn.v_proj.bias", {4}},
                                          {"layers.0.self_attn.o_proj.weight", {6, 8}},
                                          {"layers.0.self_attn.o_proj.bias", {6}},
                                          {"layers.0.self_attn.k_norm.weight", {2}},
                                          {"layers.1.self_attn.q_proj.bias", {16}},
                                          {"layers.1.self_attn.k_proj.weight", {4, 6}},
                                          {"layers.1.self_attn.q_norm.weight", {4}},
                                          {"layers.1.mlp.gate_proj.weight", {5, 6}},
                                          {"layers.2.mlp.down_proj.weight", {6, 10}},
                                          {"layers.0.router.proj.weight", {4, 6}},
                                          {"layers.0.router.scale", {6}},
                                          {"layers.0.router.per_expert_scale", {4}},
                                          {"layers.0.experts.gate_up_proj", {4, 14, 6}},
                                          {"layers.0.experts.down_proj", {4, 6, 7}},
                                          {"layers.0.post_feedforward_layernorm_2.weight", {6}},
                                          {"layers.0.per_layer_input_gate.weight", {3, 6}},
                                          {"layers.0.per_layer_projection.weight", {6, 3}},
                                          {"layers.0.post_per_layer_input_norm.weight", {6}}}));
  EXPECT_THAT(shapes, Not(Contains(Key("lm_head.weight"))));
  EXPECT_THAT(shapes, Not(Contains(Key("layers.1.self_attn.v_proj.weight")))) << "V is K there";
  EXPECT_THAT(shapes, Not(Contains(Key("layers.2.self_attn.k_proj.weight")))) << "K/V are shared there";
  EXPECT_THAT(shapes, Not(Contains(Key("layers.2.self_attn.k_norm.weight"))));
  EXPECT_EQ(shapes.size(), 85U);
}

TEST_F(CheckpointTest, OpensEveryPrefixUnderOneSetOfNames) {
  for (const char* prefix : {"model.language_model.", "language_model.model.", "model.", ""}) {
    auto tensors = tensors_of(tiny(), prefix);
    tensors.push_back({"model.vision_tower.std_bias", Tensor::own({1}, std::vector<float>{5})});
    const auto checkpoint = open(tiny(), tensors);
    ASSERT_TRUE(checkpoint) << prefix << ": " << message_of(checkpoint);
    EXPECT_EQ(checkpoint->plan, plan_of(tiny()));
    EXPECT_EQ(checkpoint->tensors.size(), tensors.size());
    for (const ExpectedTensor& expected : expected_tensors(checkpoint->plan))
      EXPECT_EQ(checkpoint->tensor(expected.name)->shape, expected.shape) << expected.name;
    EXPECT_THAT(checkpoint->tensor("norm.weight")->floats().value(), ElementsAre(100, 101, 102, 103, 104, 105));
    EXPECT_THAT(checkpoint->tensor("model.vision_tower.std_bias")->floats().value(), ElementsAre(5));
    EXPECT_THAT(message_of(checkpoint->tensor("nothing")), HasSubstr("nothing: expected a tensor, found none"));
  }
}

TEST_F(CheckpointTest, OpensShards) {
  write_shards(tiny(), tensors_of(tiny(), "model.language_model."), 3);
  const auto checkpoint = reopen();
  ASSERT_TRUE(checkpoint) << message_of(checkpoint);
  EXPECT_THAT(checkpoint->tensor("norm.weight")->floats().value(), ElementsAre(100, 101, 102, 103, 104, 105));
}

TEST_F(CheckpointTest, AcceptsEachFloatingPointDtypeAndNoOther) {
  auto tensors = tensors_of(tiny(), "model.");
  Tensor& norm = named(tensors, "model.norm.weight").tensor;
  const std::vector<std::uint16_t> halves(6, 0x3c00);
  norm = {.dtype = Dtype::f16, .shape = {6}, .bytes = std::as_bytes(std::span(halves)), .keep = {}};
  EXPECT_EQ(message_of(open(tiny(), tensors)), "no failure");
  norm.dtype = Dtype::bf16;
  EXPECT_EQ(message_of(open(tiny(), tensors)), "no failure");
  norm.dtype = Dtype::i16;
  EXPECT_THAT(
      message_of(open(tiny(), tensors)),
      HasSubstr("model.safetensors: norm.weight: expected F32, F16, BF16, Q8_0, Q4_0, Q6_K, or I8 with a scale, found "
                "I16"));
}

TEST_F(CheckpointTest, TakesInt8WeightsWithOneScale) {
  auto tensors = tensors_of(tiny(), "model.");
  Tensor& norm = named(tensors, "model.norm.weight").tensor;
  const std::vector<std::int8_t> bytes = {1, -128, 127, 0, 3, -5};
  norm = {.dtype = Dtype::i8, .shape = {6}, .bytes = std::as_bytes(std::span(bytes)), .keep = {}};
  EXPECT_THAT(message_of(open(tiny(), tensors)), HasSubstr("norm.weight: expected"));
  tensors.push_back({"model.norm.weight_scale", Tensor::own({1, 1}, std::vector<float>{0.1F})});
  const auto checkpoint = open(tiny(), tensors);
  ASSERT_TRUE(checkpoint) << message_of(checkpoint);
  EXPECT_THAT(checkpoint->tensor("norm.weight")->floats().value(),
              ElementsAre(0.1F, 0.1F * -128, 0.1F * 127, 0, 0.1F * 3, 0.1F * -5));
  tensors.back().tensor = Tensor::own({2}, std::vector<float>{1, 2});
  EXPECT_THAT(message_of(open(tiny(), tensors)),
              HasSubstr("norm.weight_scale: expected one scale for the whole tensor, found [2]"));
}

TEST_F(CheckpointTest, NamesTheTensorThatIsMissingOrMisshapen) {
  const auto whole = tensors_of(tiny(), "model.");
  for (const NamedTensor& victim : whole) {
    if (victim.name == "model.embed_tokens.weight" || victim.name.ends_with("layer_scalar")) continue;
    const std::string name = victim.name.substr(6);
    auto tensors = whole;
    drop(tensors, victim.name);
    EXPECT_THAT(
        message_of(open(tiny(), tensors)),
        HasSubstr("model.safetensors: " + name + ": expected a tensor of shape " + shape_text(victim.tensor.shape)));
    tensors = whole;
    Tensor& tensor = named(tensors, victim.name).tensor;
    tensor.shape.push_back(1);
    EXPECT_THAT(message_of(open(tiny(), tensors)),
                HasSubstr(name + ": expected shape " + shape_text(victim.tensor.shape) + ", found " +
                          shape_text(tensor.shape)));
  }
}

TEST_F(CheckpointTest, TakesAMissingLayerScalarFor1) {
  auto tensors = tensors_of(tiny(), "model.");
  drop(tensors, "model.layers.1.layer_scalar");
  const auto checkpoint = open(tiny(), tensors);
  ASSERT_TRUE(checkpoint) << message_of(checkpoint);
  EXPECT_THAT(checkpoint->tensor("layers.1.layer_scalar")->floats().value(), ElementsAre(1));
  EXPECT_THAT(checkpoint->tensor("layers.0.layer_scalar")->floats().value(), Not(ElementsAre(1)));
}

TEST_F(CheckpointTest, IgnoresKvOfSharedLayersAndUnknownTensors) {
  auto tensors = tensors_of(tiny(), "model.");
  tensors.push_back({"model.layers.2.self_attn.k_proj.weight", Tensor::own({1}, std::vector<float>{0})});
  tensors.push_back({"model.layers.9.novelty", Tensor::own({1}, std::vector<float>{0})});
  EXPECT_EQ(message_of(open(tiny(), tensors)), "no failure");
}

TEST_F(CheckpointTest, NeedsOneTextModel) {
  auto tensors = tensors_of(tiny(), "model.");
  tensors.push_back({"embed_tokens.weight", tensors[0].tensor});
  EXPECT_THAT(message_of(open(tiny(), tensors)),
              HasSubstr("expected one text model, found model.embed_tokens.weight and embed_tokens.weight"));
  tensors = tensors_of(tiny(), "model.");
  tensors.push_back({"layers.0.layer_scalar", Tensor::own({1}, std::vector<float>{1})});
  EXPECT_THAT(message_of(open(tiny(), tensors)), HasSubstr("layers.0.layer_scalar: expected it below model."));
  EXPECT_THAT(message_of(open(tiny(), tensors_of(tiny(), "elsewhere."))),
              HasSubstr("embed_tokens.weight: expected it alone or"));
}

TEST_F(CheckpointTest, ReadsAnUntiedHeadWhereverItIs) {
  json config = tiny();
  config["tie_word_embeddings"] = false;
  EXPECT_THAT(message_of(open(config, tensors_of(tiny(), "model."))),
              HasSubstr("lm_head.weight: expected a tensor of shape [11, 6]"));
  auto tensors = tensors_of(config, "model.language_model.");
  for (const char* name : {"lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight"}) {
    auto moved = tensors;
    named(moved, "lm_head.weight").name = name;
    const auto checkpoint = open(config, moved);
    ASSERT_TRUE(checkpoint) << message_of(checkpoint);
    EXPECT_FALSE(checkpoint->plan.tied_head);
    EXPECT_TRUE(checkpoint->tensor("lm_head.weight"));
  }
  tensors.push_back({"model.lm_head.weight", named(tensors, "lm_head.weight").tensor});
  EXPECT_THAT(message_of(open(config, tensors)), HasSubstr("expected one lm_head.weight"));
}

TEST_F(CheckpointTest, TiesTheHeadOnlyToAnEqualTable) {  // as transformers: tie_weights compares them
  auto tensors = tensors_of(tiny(), "model.");
  const std::size_t tied = tensors.size();
  tensors.push_back({"lm_head.weight", tensors[0].tensor});
  auto checkpoint = open(tiny(), tensors);
  ASSERT_TRUE(checkpoint) << message_of(checkpoint);
  EXPECT_TRUE(checkpoint->plan.tied_head);
  EXPECT_EQ(checkpoint->tensors.size(), tied);
  tensors.back().tensor = Tensor::own({11, 6}, std::vector<float>(66, 1.0F));
  checkpoint = open(tiny(), tensors);
  ASSERT_TRUE(checkpoint) << message_of(checkpoint);
  EXPECT_FALSE(checkpoint->plan.tied_head);
  EXPECT_TRUE(checkpoint->tensor("lm_head.weight"));
  tensors.back().tensor = Tensor::own({66}, std::vector<float>(66, 1.0F));
  EXPECT_THAT(message_of(open(tiny(), tensors)), HasSubstr("lm_head.weight: expected shape [11, 6], found [66]"));
}

TEST_F(CheckpointTest, ComparesTheHeadAcrossDtypes) {
  auto tensors = tensors_of(tiny(), "");
  const std::vector<std::uint16_t> ones(66, 0x3f80);
  tensors[0].tensor = Tensor::own({11, 6}, std::vector<float>(66, 1.0F));
  tensors.push_back({"lm_head.weight",
                     {.dtype = Dtype::bf16, .shape = {11, 6}, .bytes = std::as_bytes(std::span(ones)), .keep = {}}});
  EXPECT_TRUE(open(tiny(), tensors)->plan.tied_head);
  tensors[0].tensor = Tensor::own({11, 6}, std::vector<float>(66, 1.0001F));
  EXPECT_FALSE(open(tiny(), tensors)->plan.tied_head);
}

TEST_F(CheckpointTest, NamesMissingFiles) {
  EXPECT_THAT(message_of(reopen()), HasSubstr("config.json"));
  EXPECT_EQ(reopen().error().kind, Failure::io);
  put(directory_ / "config.json", tiny().dump());
  EXPECT_THAT(message_of(reopen()),
              HasSubstr("expected model.safetensors or model.safetensors.index.json, found neither"));
  EXPECT_EQ(reopen().error().kind, Failure::io);
}

TEST_F(CheckpointTest, RefusesAnIndexThatLies) {
  const auto tensors = tensors_of(tiny(), "model.");
  write_shards(tiny(), tensors, 2);
  const json good = json::parse(bytes_of(index()));
  const auto with = [&](const std::function<void(json&)>& change) {
    json bad = good;
    change(bad["weight_map"]);
    put(index(), bad.dump());
    return message_of(reopen());
  };
  EXPECT_EQ(with([](json&) {}), "no failure");
  EXPECT_THAT(with([](json& map) { map["model.extra"] = "model-1.safetensors"; }),
              HasSubstr("weight_map.model.extra: expected it in model-1.safetensors, found it nowhere"));
  EXPECT_THAT(with([](json& map) { map["model.norm.weight"] = "model-0.safetensors"; }),
              HasSubstr("weight_map.model.norm.weight: expected it in model-0.safetensors, found it in "));
  EXPECT_THAT(with([](json& map) { map["x"] = "model-7.safetensors"; }),
              HasSubstr("model-7.safetensors: expected a readable file"));
  EXPECT_THAT(with([](json& map) { map["x"] = "../model-0.safetensors"; }),
              HasSubstr("weight_map.x: expected the name of"));
  put(index(), good.dump().substr(0, 40));
  EXPECT_THAT(message_of(reopen()), HasSubstr("index.json: "));
}

TEST_F(CheckpointTest, RefusesATensorInTwoShards) {
  auto tensors = tensors_of(tiny(), "model.");
  write_shards(tiny(), tensors, 2);
  const std::vector<NamedTensor> second = {tensors[0]};
  ASSERT_TRUE(write_safetensors(directory_ / "model-2.safetensors", second));
  json map = json::parse(bytes_of(index()));
  map["weight_map"][tensors[0].name] = "model-2.safetensors";
  put(index(), map.dump());
  EXPECT_THAT(message_of(reopen()),
              HasSubstr("embed_tokens.weight: expected each tensor in one shard, found it also in "));
}

TEST_F(CheckpointTest, HandsUpWhatIsWrongWithAFile) {
  ASSERT_TRUE(open(tiny(), tensors_of(tiny(), "model.")));
  const std::string whole = bytes_of(directory_ / "model.safetensors");
  put(directory_ / "model.safetensors", whole.substr(0, whole.size() - 4));
  EXPECT_THAT(message_of(reopen()), HasSubstr("model.safetensors: "));
  json other = tiny();
  other["model_type"] = "gemma3";
  put(directory_ / "config.json", other.dump());
  EXPECT_THAT(message_of(reopen()), HasSubstr("config.json: model_type: expected"));
}

}  // namespace
}  // namespace assay
