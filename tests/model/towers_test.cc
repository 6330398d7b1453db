// The towers of a checkpoint: their configs, their plans, their tensors.
#include <cmath>
#include <limits>
#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
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

json with_towers() {
  return {{"model_type", "gemma4"},
          {"text_config",
           {{"vocab_size", 11},
            {"hidden_size", 6},
            {"intermediate_size", 5},
            {"num_hidden_layers", 1},
            {"num_attention_heads", 2},
            {"num_key_value_heads", 1},
            {"head_dim", 2},
            {"global_head_dim", 4},
            {"hidden_size_per_layer_input", 0}}},
          {"vision_config",
           {{"hidden_size", 10},
            {"intermediate_size", 7},
            {"num_hidden_layers", 2},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"head_dim", 8},
            {"patch_size", 2},
            {"pooling_kernel_size", 3},
            {"position_embedding_size", 13},
            {"rms_norm_eps", 1e-5},
            {"hidden_activation", "silu"},
            {"rope_parameters", {{"rope_type", "axial"}, {"rope_theta", 50}}},
            {"use_clipped_linears", true},
            {"standardize", true}}},
          {"audio_config",
           {{"hidden_size", 12},
            {"num_hidden_layers", 1},
            {"num_attention_heads", 3},
            {"subsampling_conv_channels", {8, 4}},
            {"output_proj_dims", 9},
            {"conv_kernel_size", 3},
            {"attention_chunk_size", 4},
            {"attention_context_left", 5},
            {"attention_context_right", 1},
            {"attention_logit_cap", 40},
            {"attention_invalid_logits_value", -1e8},
            {"residual_weight", 0.25},
            {"gradient_clipping", 1e40},
            {"rms_norm_eps", 1e-4},
            {"hidden_act", "relu"}}}};
}

json encoder_free() {
  json config = with_towers();
  config["model_type"] = "gemma4_unified";
  config["text_config"].erase("hidden_size_per_layer_input");
  config["vision_config"] = {{"patch_size", 2},      {"pooling_kernel_size", 3}, {"mm_embed_dim", 10},
                             {"mm_posemb_size", 13}, {"output_proj_dims", 10},   {"rms_norm_eps", 1e-5}};
  config["audio_config"] = {{"audio_embed_dim", 20}, {"rms_norm_eps", 1e-4}};
  return config;
}

Result<Plan> plan_of(const json& config) {
  ASSAY_TRY(parsed, parse_config(config.dump(), "c"));
  return make_plan(parsed);
}

TEST(Towers, TakeTheirDefaults) {
  const auto config = parse_config(R"({"model_type":"gemma4","vision_config":{},"audio_config":{}})", "c");
  ASSERT_TRUE(config) << message_of(config);
  const VisionConfig& vision = *config->vision;
  EXPECT_EQ(vision.hidden_size, 768);
  EXPECT_EQ(vision.intermediate_size, 3072);
  EXPECT_EQ(vision.num_hidden_layers, 16);
  EXPECT_EQ(vision.num_attention_heads, 12);
  EXPECT_EQ(vision.num_key_value_heads, 12);
  EXPECT_EQ(vision.head_dim, 64);
  EXPECT_EQ(vision.position_embedding_size, 10240);
  EXPECT_EQ(vision.pooling_kernel_size, 3);
  EXPECT_EQ(vision.patch_size, 16);
  EXPECT_EQ(vision.rope_theta, 100);
  EXPECT_FALSE(vision.use_clipped_linears || vision.standardize);
  const AudioConfig& audio = *config->audio;
  EXPECT_EQ(audio.hidden_size, 1024);
  EXPECT_EQ(audio.num_hidden_layers, 12);
  EXPECT_THAT(audio.subsampling_conv_channels, ElementsAre(128, 32));
  EXPECT_EQ(audio.attention_chunk_size, 12);
  EXPECT_EQ(audio.attention_context_left, 13);
  EXPECT_EQ(audio.attention_invalid_logits_value, -1e9);
  EXPECT_EQ(audio.gradient_clipping, 1e10);
  EXPECT_EQ(audio.output_proj_dims, 1536);
  EXPECT_TRUE(audio.use_clipped_linears);
  const auto unified = parse_config(R"({"model_type":"gemma4_unified","vision_config":{},"audio_config":{}})", "c");
  ASSERT_TRUE(unified) << message_of(unified);
  EXPECT_EQ(unified->vision->mm_embed_dim, 3840);
  EXPECT_EQ(unified->vision->mm_posemb_size, 1120);
  EXPECT_EQ(unified->audio->audio_embed_dim, 640);
  const auto none = parse_config(R"({"model_type":"gemma4","vision_config":null})", "c");
  ASSERT_TRUE(none) << message_of(none);
  EXPECT_FALSE(none->vision || none->audio);
}

TEST(Towers, AreResolvedFieldByField) {
  const auto plan = plan_of(with_towers());
  ASSERT_TRUE(plan) << message_of(plan);
  EXPECT_EQ(plan->placeholders, (Placeholders{258880, 258884, 258881}));
  const VisionPlan& vision = *plan->vision;
  EXPECT_FALSE(vision.encoder_free);
  EXPECT_EQ(vision.patch_values, 12);
  EXPECT_EQ(vision.hidden, 10);
  EXPECT_EQ(vision.positions, 13);
  EXPECT_EQ(vision.pool, 3);
  EXPECT_EQ(vision.eps, 1e-5F);
  EXPECT_TRUE(vision.standardize);
  EXPECT_EQ(vision.activation, Activation::silu);
  ASSERT_EQ(vision.layers.size(), 2U);
  const VisionLayerPlan& layer = vision.layers[1];
  EXPECT_EQ(layer.heads, 4);
  EXPECT_EQ(layer.kv_heads, 2);
  EXPECT_EQ(layer.head_dim, 8);
  EXPECT_EQ(layer.ffn_width, 7);
  EXPECT_TRUE(layer.clipped);
  EXPECT_THAT(layer.rope.inv_freq, ElementsAre(1.0F, 1.0F / std::sqrt(50.0F)));
  const AudioPlan& audio = *plan->audio;
  EXPECT_FALSE(audio.encoder_free);
  EXPECT_EQ(audio.features, 8);
  EXPECT_EQ(audio.frequencies, 2);
  EXPECT_EQ(audio.hidden, 12);
  EXPECT_EQ(audio.output, 9);
  EXPECT_EQ(audio.eps, 1e-4F);
  ASSERT_EQ(audio.layers.size(), 1U);
  EXPECT_EQ(audio.layers[0], (AudioLayerPlan{.heads = 3,
                                             .head_dim = 4,
                                             .chunk = 4,
                                             .past = 4,
                                             .future = 1,
                                             .logit_cap = 40,
                                             .invalid_logit = -1e8F,
                                             .ffn_width = 48,
                                             .kernel = 3,
                                             .residual_weight = 0.25F,
                                             .clamp = std::numeric_limits<float>::max(),
                                             .eps = 1e-6F,
                                             .conv_eps = 1e-4F,
                                             .clipped = true,
                                             .activation = Activation::relu}));
}

TEST(Towers, AreEmbeddersInTheUnifiedModel) {
  const auto plan = plan_of(encoder_free());
  ASSERT_TRUE(plan) << message_of(plan);
  EXPECT_TRUE(plan->vision->encoder_free && plan->audio->encoder_free);
  EXPECT_EQ(plan->vision->patch_values, 3 * 36);
  EXPECT_EQ(plan->vision->hidden, 10);
  EXPECT_EQ(plan->vision->layer_norm_eps, 1e-5F);
  EXPECT_EQ(plan->vision->layers.size() + plan->audio->layers.size(), 0U);
  EXPECT_EQ(plan->audio->features, 20);
  EXPECT_EQ(plan->audio->output, 20);
}

TEST(Towers, TakeOlderSpellingsOfTheirRope) {
  json config = with_towers();
  for (const json& rope : {json{{"rope_type", "default"}, {"rope_theta", 50}}, json{{"rope_theta", 50}},
                           json{{"type", "default"}, {"rope_theta", 50}}}) {
    config["vision_config"]["rope_parameters"] = rope;
    EXPECT_EQ(plan_of(config)->vision, plan_of(with_towers())->vision) << rope;
  }
}

TEST(Towers, RefuseContradictions) {
  const auto refused = [](const char* part, const char* key, const json& value, const json& base) {
    json config = base;
    config[part][key] = value;
    return message_of(plan_of(config));
  };
  const json towers = with_towers(), free = encoder_free();
  EXPECT_THAT(refused("vision_config", "head_dim", 6, towers),
              HasSubstr("vision_config.head_dim: expected a multiple"));
  EXPECT_THAT(refused("vision_config", "num_key_value_heads", 3, towers),
              HasSubstr("a divisor of num_attention_heads"));
  EXPECT_THAT(refused("vision_config", "pooling_kernel_size", 1, towers),
              HasSubstr("pooling_kernel_size: expected at"));
  EXPECT_THAT(refused("vision_config", "patch_size", 0, towers), HasSubstr("vision_config.patch_size: expected 1 to"));
  EXPECT_THAT(refused("vision_config", "hidden_activation", "mish", towers), HasSubstr("vision_config.hidden_activ"));
  EXPECT_THAT(refused("vision_config", "model_type", "siglip", towers), HasSubstr("expected gemma4_vision"));
  EXPECT_THAT(refused("vision_config", "rope_parameters", {{"rope_type", "linear"}}, towers),
              HasSubstr("vision_config.rope_parameters.rope_type: expected default or axial, found linear"));
  EXPECT_THAT(refused("vision_config", "output_proj_dims", 4, free), HasSubstr("expected mm_embed_dim = 10"));
  EXPECT_THAT(refused("audio_config", "hidden_size", 13, towers),
              HasSubstr("audio_config.hidden_size: expected an even"));
  EXPECT_THAT(refused("audio_config", "subsampling_conv_channels", {3, 4}, towers), HasSubstr("expected at least 4"));
  EXPECT_THAT(refused("audio_config", "subsampling_conv_channels", 8, towers), HasSubstr("expected a list of 2"));
  EXPECT_THAT(refused("audio_config", "attention_context_left", 0, towers), HasSubstr("context_left: expected 1 to"));
  EXPECT_THAT(refused("audio_config", "hidden_act", "mish", towers), HasSubstr("audio_config.hidden_act: expected"));
  json config = towers;
  config["audio_config"] = 5;
  EXPECT_THAT(message_of(plan_of(config)), HasSubstr("audio_config: expected an object or null, found 5"));
}

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

Shapes tower_tensors(const json& config) {
  Shapes shapes;
  for (const ExpectedTensor& expected : expected_tensors(plan_of(config).value()))
    if (expected.name.starts_with("model.")) {
      EXPECT_TRUE(shapes.emplace(expected.name, expected.shape).second) << expected.name;
    }
  return shapes;
}

TEST(Towers, NeedTheTensorsThatTransformersSaves) {
  const Shapes shapes = tower_tensors(with_towers());
  EXPECT_THAT(shapes,
              IsSupersetOf(Shapes{{"model.vision_tower.patch_embedder.input_proj.weight", {10, 12}},
                                  {"model.vision_tower.patch_embedder.position_embedding_table", {2, 13, 10}},
                                  {"model.vision_tower.std_bias", {10}},
                                  {"model.vision_tower.encoder.layers.1.self_attn.q_proj.linear.weight", {32, 10}},
                                  {"model.vision_tower.encoder.layers.1.self_attn.k_proj.linear.weight", {16, 10}},
                                  {"model.vision_tower.encoder.layers.1.self_attn.o_proj.linear.weight", {10, 32}},
                                  {"model.vision_tower.encoder.layers.0.self_attn.q_norm.weight", {8}},
                                  {"model.vision_tower.encoder.layers.0.mlp.down_proj.linear.weight", {10, 7}},
                                  {"model.vision_tower.encoder.layers.0.mlp.down_proj.output_max", {}},
                                  {"model.embed_vision.embedding_projection.weight", {6, 10}},
                                  {"model.audio_tower.subsample_conv_projection.layer0.conv.weight", {8, 1, 3, 3}},
                                  {"model.audio_tower.subsample_conv_projection.layer1.conv.weight", {4, 8, 3, 3}},
                                  {"model.audio_tower.subsample_conv_projection.layer1.norm.weight", {4}},
                                  {"model.audio_tower.subsample_conv_projection.input_proj_linear.weight", {12, 8}},
                                  {"model.audio_tower.layers.0.feed_forward2.ffw_layer_1.linear.weight", {48, 12}},
                                  {"model.audio_tower.layers.0.self_attn.post.input_min", {}},
                                  {"model.audio_tower.layers.0.self_attn.relative_k_proj.weight", {12, 12}},
                                  {"model.audio_tower.layers.0.self_attn.per_dim_scale", {4}},
                                  {"model.audio_tower.layers.0.lconv1d.linear_start.linear.weight", {24, 12}},
                                  {"model.audio_tower.layers.0.lconv1d.depthwise_conv1d.weight", {12, 1, 3}},
                                  {"model.audio_tower.output_proj.bias", {9}},
                                  {"model.embed_audio.embedding_projection.weight", {6, 9}}}));
  // Seven clipped linears of five tensors and six norms a vision layer; ten and ten, a key projection, a scale and a
  // convolution a conformer block; what is around them.
  EXPECT_EQ(shapes.size(), 2 * (7U * 5 + 6) + 5 + (10 * 5 + 9 + 3) + 5 + 2 + 1);
  json plain = with_towers();
  plain["vision_config"]["use_clipped_linears"] = plain["audio_config"]["use_clipped_linears"] = false;
  plain["vision_config"]["standardize"] = false;
  EXPECT_EQ(tower_tensors(plain).size(), shapes.size() - 2 * 7 * 4 - 10 * 4 - 2);
}

TEST(Towers, NeedTheTensorsOfEmbeddersAsTheyLieOnDisk) {
  const Shapes shapes = tower_tensors(encoder_free());
  EXPECT_THAT(shapes, IsSupersetOf(Shapes{{"model.vision_embedder.patch_ln1.bias", {108}},
                                          {"model.vision_embedder.patch_ln2.weight", {10}},
                                          {"model.vision_embedder.pos_norm.bias", {10}},
                                          {"model.vision_embedder.patch_dense.weight", {10, 108}},
                                          {"model.vision_embedder.patch_dense.bias", {10}},
                                          {"model.vision_embedder.pos_embedding", {13, 2, 10}},
                                          {"model.embed_vision.embedding_projection.weight", {6, 10}},
                                          {"model.embed_audio.embedding_projection.weight", {6, 20}}}));
  EXPECT_EQ(shapes.size(), 11U);
}

class TowerCheckpoint : public ::testing::Test {
 protected:
  std::vector<NamedTensor> tensors(const json& config, const std::string& text, const std::string& towers) {
    std::vector<NamedTensor> all;
    for (const ExpectedTensor& expected : expected_tensors(plan_of(config).value())) {
      std::int64_t count = 1;
      for (const std::int64_t extent : expected.shape) count *= extent;
      const bool tower = expected.name.starts_with("model.");
      all.push_back({tower ? towers + expected.name.substr(6) : text + expected.name,
                     Tensor::own(expected.shape, std::vector<float>(std::size_t(count), 1.0F))});
    }
    return all;
  }
  Result<Checkpoint> open(const json& config, const std::vector<NamedTensor>& all) {
    put(directory_ / "config.json", config.dump());
    EXPECT_EQ(message_of(write_safetensors(directory_ / "model.safetensors", all)), "no failure");
    return Checkpoint::open(directory_.path());
  }
  Temporary directory_;
};

TEST_F(TowerCheckpoint, OpensBothOrdersOfNames) {
  for (const json& config : {with_towers(), encoder_free()})
    for (const auto& [text, towers] :
         {std::pair("model.language_model.", "model."), std::pair("language_model.model.", "")}) {
      const auto checkpoint = open(config, tensors(config, text, towers));
      ASSERT_TRUE(checkpoint) << message_of(checkpoint);
      EXPECT_TRUE(checkpoint->tensor("model.embed_vision.embedding_projection.weight"));
    }
}

TEST_F(TowerCheckpoint, NamesWhatIsMissing) {
  auto all = tensors(with_towers(), "model.language_model.", "model.");
  std::erase_if(all, [](const NamedTensor& t) { return t.name == "model.vision_tower.std_scale"; });
  EXPECT_THAT(message_of(open(with_towers(), all)),
              HasSubstr("model.vision_tower.std_scale: expected a tensor of shape [10], found none"));
  all = tensors(with_towers(), "model.language_model.", "model.");
  for (NamedTensor& t : all)
    if (t.name == "model.audio_tower.layers.0.self_attn.post.input_min") t.tensor.shape = {1};
  EXPECT_THAT(message_of(open(with_towers(), all)), HasSubstr("post.input_min: expected shape [], found [1]"));
}

}  // namespace
}  // namespace assay
