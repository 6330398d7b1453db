#include "model/config.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr AttentionKind kS = AttentionKind::sliding, kF = AttentionKind::full;

Result<Config> text_config(json keys) {
  keys.emplace("model_type", "gemma4_text");
  return parse_config(keys.dump(), "c");
}
Result<Config> wrapped(json keys) {
  return parse_config(json{{"model_type", "gemma4"}, {"text_config", keys}}.dump(), "c");
}

TEST(Config, TakesTheDefaultsOfGemma4) {
  const auto config = parse_config(R"({"model_type":"gemma4"})", "c");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_FALSE(config->unified);
  EXPECT_TRUE(config->multimodal);
  EXPECT_EQ(config->vocab_size, 262144);
  EXPECT_EQ(config->hidden_size, 2304);
  EXPECT_EQ(config->intermediate_size, 9216);
  EXPECT_EQ(config->num_attention_heads, 8);
  EXPECT_EQ(config->sliding_window, 512);
  EXPECT_EQ(config->rms_norm_eps, 1e-6);
  EXPECT_EQ(config->hidden_activation, "gelu_pytorch_tanh");
  EXPECT_EQ(config->final_logit_softcapping, std::nullopt);
  EXPECT_EQ(config->use_bidirectional_attention, std::nullopt);
  EXPECT_EQ(config->hidden_size_per_layer_input, 256);
  EXPECT_EQ(config->vocab_size_per_layer_input, 262144);
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_FALSE(config->attention_k_eq_v || config->attention_bias || config->use_double_wide_mlp ||
               config->enable_moe_block);
  EXPECT_EQ(config->num_kv_shared_layers, 0);
  EXPECT_EQ(config->image_token_id, 258880);
  EXPECT_EQ(config->video_token_id, 258884);
  EXPECT_EQ(config->audio_token_id, 258881);
  EXPECT_EQ(config->rope_full.type, "proportional");
  EXPECT_EQ(config->rope_full.theta, 1e6);
  EXPECT_EQ(config->rope_full.partial_rotary_factor, 0.25);
  EXPECT_EQ(config->rope_sliding.type, "default");
  EXPECT_EQ(config->rope_sliding.theta, 1e4);
  ASSERT_EQ(config->layer_types.size(), 30U);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(config->layer_types[i], i % 6 == 5 ? kF : kS) << i;
    EXPECT_EQ(config->head_dim[i], i % 6 == 5 ? 512 : 256) << i;
    EXPECT_EQ(config->num_key_value_heads[i], 4) << i;
  }
}

TEST(Config, TakesTheDefaultsOfTheUnifiedModel) {
  const auto config = parse_config(R"({"model_type":"gemma4_unified","text_config":null})", "c");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_TRUE(config->unified && config->multimodal);
  EXPECT_EQ(config->sliding_window, 1024);
  EXPECT_EQ(config->use_bidirectional_attention, "vision");
  EXPECT_EQ(config->hidden_size_per_layer_input, 0);
  const auto off = parse_config(R"({"model_type":"gemma4_unified_text","use_bidirectional_attention":null})", "c");
  EXPECT_EQ(off->use_bidirectional_attention, std::nullopt);
  EXPECT_FALSE(off->multimodal);
  EXPECT_EQ(off->image_token_id, std::nullopt);
}

TEST(Config, IgnoresWhatTheUnifiedModelDoesNotHave) {
  const auto config = parse_config(
      R"({"model_type":"gemma4_unified_text","hidden_size_per_layer_input":64,"enable_moe_block":true})", "c");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_EQ(config->hidden_size_per_layer_input, 0);
  EXPECT_FALSE(config->enable_moe_block);
}

TEST(Config, ForcesTheLastLayerToFullAttention) {
  EXPECT_THAT(text_config({{"num_hidden_layers", 2}})->layer_types, ElementsAre(kS, kF));
  EXPECT_THAT(
      text_config({{"num_hidden_layers", 2}, {"layer_types", {"full_attention", "sliding_attention"}}})->layer_types,
      ElementsAre(kF, kF));
}

TEST(Config, HonoursGlobalKvHeadsOnlyWithKeyAsValue) {
  const json keys = {{"num_hidden_layers", 2}, {"num_global_key_value_heads", 1}, {"global_head_dim", 64}};
  EXPECT_THAT(text_config(keys)->num_key_value_heads, ElementsAre(4, 4));
  EXPECT_THAT(text_config(keys)->head_dim, ElementsAre(256, 64));
  json shared = keys;
  shared["attention_k_eq_v"] = true;
  EXPECT_THAT(text_config(shared)->num_key_value_heads, ElementsAre(4, 1));
}

TEST(Config, LetsPerLayerConfigWin) {
  json keys = {
      {"num_hidden_layers", 11},
      {"global_head_dim", 64},
      {"head_dim", 32},
      {"num_key_value_heads", 2},
      {"per_layer_config", {{"05", {{"head_dim", 128}}}, {"10", {{"num_key_value_heads", 1}, {"head_dim", 32}}}}}};
  const auto config = text_config(keys);
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_THAT(config->head_dim, ElementsAre(32, 32, 32, 32, 32, 128, 32, 32, 32, 32, 32));
  EXPECT_EQ(config->num_key_value_heads[10], 1);
  for (const json& none : {json(nullptr), json::object()}) {
    keys["per_layer_config"] = none;
    EXPECT_THAT(text_config(keys)->head_dim, Each(32)) << none;
  }
}

TEST(Config, DropsOverridesThatChangeNothing) {
  const auto config = text_config({{"num_hidden_layers", 1},
                                   {"sliding_window", 7},
                                   {"per_layer_config", {{"0", {{"sliding_window", 7}, {"skip", json::array()}}}}}});
  EXPECT_TRUE(config) << message_of(config);
}

TEST(Config, ReadsRopeParameters) {
  const auto config = text_config(
      {{"num_hidden_layers", 2},
       {"partial_rotary_factor", 0.5},
       {"rope_theta", 3.0},
       {"rope_scaling", {{"rope_type", "yarn"}}},
       {"rope_parameters",
        {{"full_attention", {{"type", "proportional"}, {"rope_theta", 500000}, {"factor", 8}}},
         {"sliding_attention",
          {{"rope_type", "linear"}, {"rope_theta", 100.0}, {"factor", 2.5}, {"partial_rotary_factor", 1.0}}}}}});
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_EQ(config->rope_full.type, "proportional");
  EXPECT_EQ(config->rope_full.theta, 5e5);
  EXPECT_EQ(config->rope_full.factor, 8);
  EXPECT_EQ(config->rope_full.partial_rotary_factor, 0.5) << "filled from the text model's own key";
  EXPECT_EQ(config->rope_sliding.type, "linear");
  EXPECT_EQ(config->rope_sliding.factor, 2.5);
}

TEST(Config, NeedsRopeOnlyForLayersThatExist) {
  const json full = {{"full_attention", {{"rope_theta", 10.0}}}};
  EXPECT_TRUE(text_config({{"num_hidden_layers", 1}, {"rope_parameters", full}}));
  EXPECT_THAT(message_of(text_config({{"num_hidden_layers", 2}, {"rope_parameters", full}})),
              HasSubstr("rope_parameters.sliding_attention: expected"));
}

TEST(Config, ReadsTheTyingFlagOfTheModelThatHasTheHead) {
  EXPECT_FALSE(text_config({{"tie_word_embeddings", false}})->tie_word_embeddings);
  EXPECT_TRUE(wrapped({{"tie_word_embeddings", false}})->tie_word_embeddings) << "transformers asks the wrapper";
  EXPECT_FALSE(parse_config(R"({"model_type":"gemma4","tie_word_embeddings":false})", "c")->tie_word_embeddings);
}

TEST(Config, AcceptsNullWhereTransformersDoes) {
  const auto config = parse_config(
      R"({"model_type":"gemma4","image_token_id":null,"text_config":{"layer_types":null,"final_logit_softcapping":null,
          "rope_parameters":null,"num_experts":null,"top_k_experts":null,"moe_intermediate_size":null,
          "num_global_key_value_heads":null,"use_bidirectional_attention":null}})",
      "c");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_EQ(config->image_token_id, std::nullopt);
  EXPECT_EQ(text_config({{"pad_token_id", nullptr}})->pad_token_id, 0);
}

struct Bad {
  std::string keys, message;
  Failure::Kind kind = Failure::bad_input;
};

std::string rope(const std::string& full) {
  return R"({"num_hidden_layers": 1, "rope_parameters": {"full_attention": )" + full + "}}";
}
std::string layer_0(const std::string& overrides) {
  return R"({"num_hidden_layers": 1, "per_layer_config": {"0": )" + overrides + "}}";
}

TEST(Config, NamesTheKeyThatIsWrong) {
  const std::vector<Bad> cases = {
      Bad{R"({"hidden_size": 1.0})", "hidden_size: expected an integer, found 1.0"},
      Bad{R"({"hidden_size": "64"})", "hidden_size: expected an integer, found \"64\""},
      Bad{R"({"hidden_size": true})", "hidden_size: expected an integer, found true"},
      Bad{R"({"hidden_size": null})", "hidden_size: expected an integer, found null"},
      Bad{R"({"hidden_size": 0})", "hidden_size: expected 1 to 1048576, found 0"},
      Bad{R"({"hidden_size": -64})", "hidden_size: expected 1 to 1048576, found -64"},
      Bad{R"({"hidden_size": 18446744073709551615})", "hidden_size: expected 1 to"},
      Bad{R"({"intermediate_size": []})", "intermediate_size: expected an integer, found array"},
      Bad{R"({"vocab_size": 1099511627776})", "vocab_size: expected 1 to 268435456"},
      Bad{R"({"num_hidden_layers": 0})", "num_hidden_layers: expected 1 to 4096"},
      Bad{R"({"num_hidden_layers": 5000})", "num_hidden_layers: expected 1 to 4096"},
      Bad{R"({"num_attention_heads": 0})", "num_attention_heads: expected 1"},
      Bad{R"({"num_key_value_heads": 0})", "num_key_value_heads: expected 1"},
      Bad{R"({"head_dim": -8})", "head_dim: expected 2 to 4096, found -8"},
      Bad{R"({"global_head_dim": null})", "global_head_dim: expected an integer, found null"},
      Bad{R"({"sliding_window": 0})", "sliding_window: expected 1"},
      Bad{R"({"rms_norm_eps": -1e-06})", "rms_norm_eps: expected 0.0 to 1.0"},
      Bad{R"({"rms_norm_eps": "1e-6"})", "rms_norm_eps: expected a number"},
      Bad{R"({"final_logit_softcapping": 0})", "final_logit_softcapping: expected"},
      Bad{R"({"hidden_activation": null})", "hidden_activation: expected a string"},
      Bad{R"({"attention_k_eq_v": 1})", "attention_k_eq_v: expected true or false, found 1"},
      Bad{R"({"attention_bias": null})", "attention_bias: expected true or false, found null"},
      Bad{R"({"num_kv_shared_layers": 30})", "num_kv_shared_layers: expected 0 to 29, found 30"},
      Bad{R"({"num_kv_shared_layers": -1})", "num_kv_shared_layers: expected 0 to 29, found -1"},
      Bad{R"({"layer_types": "full_attention"})", "layer_types: expected a list"},
      Bad{R"({"layer_types": ["full_attention"]})", "layer_types: expected a list of num_hidden_layers = 30, found 1"},
      Bad{R"({"num_hidden_layers": 2, "layer_types": ["chunked_attention", "full_attention"]})",
          "layer_types.0: expected sliding_attention or full_attention, found \"chunked_attention\""},
      Bad{R"({"num_hidden_layers": 1, "layer_types": [3]})", "layer_types.0: expected"},
      Bad{R"({"use_bidirectional_attention": "all"})",
          "use_bidirectional_attention: expected null or vision, found all", Failure::unsupported},
      Bad{R"({"use_bidirectional_attention": "image"})",
          "use_bidirectional_attention: expected null or vision, found image"},
      Bad{R"({"use_bidirectional_attention": true})", "use_bidirectional_attention: expected a string"},
      Bad{R"({"hidden_size_per_layer_input": null})", "hidden_size_per_layer_input: expected an integer"},
      Bad{R"({"vocab_size_per_layer_input": 0})", "vocab_size_per_layer_input: expected 1"},
      Bad{R"({"enable_moe_block": true})", "num_experts: expected an integer, found none"},
      Bad{R"({"enable_moe_block": true, "num_experts": null})", "num_experts: expected an integer, found null"},
      Bad{R"({"enable_moe_block": true, "num_experts": 4, "top_k_experts": 0})", "top_k_experts: expected 1"},
      Bad{R"({"pad_token_id": 262144})", "pad_token_id: expected 0 to 262143"},
      Bad{R"({"pad_token_id": null})", "pad_token_id: expected an id"},
      Bad{R"({"per_layer_config": []})", "per_layer_config: expected an object, found array"},
      Bad{R"({"per_layer_config": {"30": {}}})", "per_layer_config.30: expected a layer index below 30"},
      Bad{R"({"per_layer_config": {"-1": {}}})", "per_layer_config.-1: expected a layer index"},
      Bad{R"({"per_layer_config": {"5x": {}}})", "per_layer_config.5x: expected a layer index"},
      Bad{R"({"per_layer_config": {"": {}}})", "per_layer_config.: expected a layer index"},
      Bad{R"({"per_layer_config": {"99999999999999999999999": {}}})", "per_layer_config.999"},
      Bad{R"({"per_layer_config": {"5": {}, "05": {}}})", "per_layer_config.5: expected each layer once"},
      Bad{layer_0(R"(3)"), "per_layer_config.0: expected an object, found 3"},
      Bad{layer_0(R"({"head_dim": 8.0})"), "per_layer_config.0.head_dim: expected an integer, found 8.0"},
      Bad{layer_0(R"({"num_key_value_heads": 0})"), "per_layer_config.0.num_key_value_heads: expected 1"},
      Bad{layer_0(R"({"intermediate_size": 8})"), "per_layer_config.0.intermediate_size: expected head_dim and",
          Failure::unsupported},
      Bad{layer_0(R"({"skip": ["self_attn"]})"), "per_layer_config.0.skip: expected head_dim and",
          Failure::unsupported},
      Bad{R"({"rope_parameters": 3})", "rope_parameters.full_attention: expected an object"},
      Bad{R"({"rope_parameters": {}})", "rope_parameters.full_attention: expected an object"},
      Bad{R"({"rope_parameters": {"rope_theta": 10000.0}})", "rope_parameters.full_attention: expected an object"},
      Bad{rope(R"(null)"), "rope_parameters.full_attention: expected an object"},
      Bad{rope(R"({})"), "rope_parameters.full_attention.rope_theta: expected a number, found none"},
      Bad{rope(R"({"rope_theta": 0})"), "rope_parameters.full_attention.rope_theta: expected"},
      Bad{rope(R"({"rope_theta": "1e4"})"), "rope_parameters.full_attention.rope_theta: expected a number"},
      Bad{rope(R"({"rope_type": "yarn", "rope_theta": 10000.0})"),
          "rope_parameters.full_attention.rope_type: expected default", Failure::unsupported},
      Bad{rope(R"({"rope_type": "dynamic", "rope_theta": 10000.0})"), "rope_parameters.full_attention.rope_type",
          Failure::unsupported},
      Bad{rope(R"({"rope_type": "llama3", "rope_theta": 10000.0})"), "rope_parameters.full_attention.rope_type",
          Failure::unsupported},
      Bad{rope(R"({"rope_type": "longrope", "rope_theta": 10000.0})"), "rope_parameters.full_attention.rope_type",
          Failure::unsupported},
      Bad{rope(R"({"rope_type": 1, "rope_theta": 10000.0})"),
          "rope_parameters.full_attention.rope_type: expected a string"},
      Bad{rope(R"({"rope_type": "linear", "rope_theta": 10000.0})"),
          "rope_parameters.full_attention.factor: expected a number, found none"},
      Bad{rope(R"({"rope_type": "linear", "rope_theta": 10000.0, "factor": 0})"),
          "rope_parameters.full_attention.factor"},
      Bad{rope(R"({"rope_type": "proportional", "rope_theta": 10000.0, "partial_rotary_factor": 1.5})"),
          "rope_parameters.full_attention.partial_rotary_factor: expected 0.0 to 1.0"},
      Bad{rope(R"({"rope_type": "proportional", "rope_theta": 10000.0, "partial_rotary_factor": null})"),
          "rope_parameters.full_attention.partial_rotary_factor: expected a number"}};
  for (const auto& [keys, message, kind] : cases) {
    const auto config = parse_config(R"({"model_type": "gemma4", "text_config": )" + keys + "}", "c");
    EXPECT_THAT(message_of(config), HasSubstr("c: text_config." + message)) << keys;
    EXPECT_TRUE(!config && config.error().kind == kind) << keys;
  }
}

TEST(Config, RefusesOtherModels) {
  for (const char* type : {"gemma4_vision", "gemma3", "llama", "Gemma4"}) {
    const auto config = parse_config(json{{"model_type", type}}.dump(), "c");
    EXPECT_THAT(message_of(config), HasSubstr(std::string("c: model_type: expected gemma4, ")));
    EXPECT_THAT(message_of(config), HasSubstr(type));
    EXPECT_EQ(config.error().kind, Failure::unsupported) << type;
  }
  EXPECT_EQ(parse_config("{}", "c").error().kind, Failure::bad_input);
  EXPECT_EQ(parse_config(R"({"model_type":3})", "c").error().kind, Failure::bad_input);
}

TEST(Config, RefusesWhatIsNotOneObject) {
  for (const char* text : {"", " ", "null", "3", "[]", "[{}]", "{", "{}{}", "{\"a\":}", "\xff\xfe", "{\"a\":1e999}",
                           "{\"a\":NaN}", "\"model_type\""})
    EXPECT_THAT(message_of(parse_config(text, "c")), HasSubstr("JSON")) << text;
  EXPECT_THAT(message_of(parse_config(R"({"model_type":"gemma4","text_config":[]})", "c")),
              HasSubstr("text_config: expected an object, found array"));
  EXPECT_THAT(message_of(parse_config(R"({"model_type":"gemma4_text","head_dim":8,"head_dim":8})", "c")),
              HasSubstr("head_dim: expected each key once"));
}

TEST(Config, BoundsDepth) {
  for (const char* bracket : {"[", "{\"a\":"}) {
    std::string text = R"({"model_type":"gemma4","x":)";
    for (int i = 0; i < 1'000'000; ++i) text += bracket;
    EXPECT_THAT(message_of(parse_config(text, "c")), HasSubstr("at most 64 levels of JSON"));
  }
}

TEST(Config, SurvivesEveryTruncationAndFlippedBit) {
  std::string text = bytes_of(std::string(ASSAY_SOURCE_DIR) + "/tests/model/configs/12b.json");
  for (std::size_t size = 0; size + 2 < text.size(); ++size)
    EXPECT_FALSE(parse_config(std::string_view(text).substr(0, size), "c")) << size;
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    text[bit / 8] = char(text[bit / 8] ^ (1 << (bit % 8)));
    (void)parse_config(text, "c");
    text[bit / 8] = char(text[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(Config, BoundsFiles) {
  const Temporary directory;
  EXPECT_EQ(read_config(directory / "config.json").error().kind, Failure::io);
  EXPECT_EQ(read_config(directory.path()).error().kind, Failure::bad_input);
  put(directory / "config.json", std::string((16U << 20) + 1, ' '));
  EXPECT_THAT(message_of(read_config(directory / "config.json")), HasSubstr("size: expected at most 16777216 bytes"));
}

}  // namespace
}  // namespace assay
