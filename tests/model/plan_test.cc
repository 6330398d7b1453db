#include "model/plan.h"

#include <bit>
#include <cstdlib>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

json published(const std::string& name) {
  return json::parse(bytes_of(std::string(ASSAY_SOURCE_DIR) + "/tests/model/configs/" + name + ".json"));
}

Result<Plan> plan_of(const json& config) {
  ASSAY_TRY(parsed, parse_config(config.dump(), "c"));
  return make_plan(parsed);
}

Result<Plan> text_plan(json keys) {
  keys.emplace("model_type", "gemma4_text");
  keys.emplace("hidden_size", 16);
  return plan_of(keys);
}

/// What GEMMA4's table of published configurations says, a line a variant.
struct Variant {
  std::string name;
  int hidden, layers, every, q_heads, kv_heads, global_kv_heads, first_shared, ffn, shared_ffn, ple, window;
  bool value_is_key;
  Blocks sliding_blocks, full_blocks;
  std::optional<Experts> experts;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class Published : public ::testing::TestWithParam<Variant> {};

TEST_P(Published, ResolvesFieldByField) {
  const Variant& v = GetParam();
  const auto plan = plan_of(published(v.name));
  ASSERT_TRUE(plan) << message_of(plan);
  EXPECT_EQ(plan->hidden, v.hidden);
  EXPECT_EQ(plan->vocab, 262144);
  EXPECT_EQ(plan->ple_width, v.ple);
  EXPECT_EQ(plan->ple_vocab, v.ple > 0 ? 262144 : 0);
  EXPECT_EQ(plan->eps, 1e-6F);
  EXPECT_EQ(plan->softcap, 30.0F);
  EXPECT_TRUE(plan->tied_head);
  EXPECT_EQ(plan->activation, Activation::gelu_tanh);
  EXPECT_EQ(plan->pad_id, 0);
  EXPECT_THAT(plan->placeholder_ids, ElementsAre(258880, 258884, 258881));
  ASSERT_EQ(int(plan->layers.size()), v.layers);
  for (int i = 0; i < v.layers; ++i) {
    const LayerPlan& layer = plan->layers[std::size_t(i)];
    const bool full = i % v.every == v.every - 1, shared = i >= v.first_shared;
    EXPECT_EQ(layer.q_heads, v.q_heads) << i;
    EXPECT_EQ(layer.kv_heads, full ? v.global_kv_heads : v.kv_heads) << i;
    EXPECT_EQ(layer.head_dim, full ? 512 : 256) << i;
    EXPECT_EQ(layer.value_is_key, full && v.value_is_key) << i;
    EXPECT_FALSE(layer.attention_bias);
    EXPECT_EQ(layer.window, full ? 0 : v.window) << i;
    EXPECT_EQ(layer.blocks, full ? v.full_blocks : v.sliding_blocks) << i;
    EXPECT_EQ(layer.ffn_width, shared ? v.shared_ffn : v.ffn) << i;
    EXPECT_EQ(layer.ple_width, v.ple) << i;
    EXPECT_EQ(layer.experts, v.experts) << i;
    const KvSource own = {KvSource::own, i}, donor = {KvSource::earlier, v.first_shared - (full ? 1 : 2)};
    EXPECT_EQ(layer.kv, shared ? donor : own) << i;
    EXPECT_EQ(layer.rope.theta, full ? 1e6 : 1e4) << i;
    ASSERT_EQ(int(layer.rope.inv_freq.size()), layer.head_dim / 2) << i;
    for (int pair = 0; pair < layer.head_dim / 2; ++pair)
      EXPECT_EQ(layer.rope.inv_freq[std::size_t(pair)] != 0, !full || pair < 64) << i << " " << pair;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Plan, Published,
    ::testing::Values(
        Variant{"e2b", 1536, 35, 5, 8, 1, 1, 15, 6144, 12288, 256, 512, false, Blocks::causal, Blocks::causal, {}},
        Variant{"e4b", 2560, 42, 6, 8, 2, 2, 24, 10240, 10240, 256, 512, false, Blocks::causal, Blocks::causal, {}},
        Variant{"12b",
                3840,
                48,
                6,
                16,
                8,
                1,
                48,
                15360,
                0,
                0,
                1024,
                true,
                Blocks::beyond_window,
                Blocks::beyond_window,
                {}},
        Variant{"26b-a4b", 2816, 30, 6, 16, 8, 2, 30, 2112, 0, 0, 1024, true, Blocks::inside_window, Blocks::causal,
                Experts{128, 8, 704}},
        Variant{"31b", 5376, 60, 6, 32, 16, 4, 60, 21504, 0, 0, 1024, true, Blocks::inside_window, Blocks::causal, {}}),
    [](const auto& variant) {
      std::string name = variant.param.name;
      std::erase(name, '-');
      return name;
    });

TEST(Plan, IsTheSameInBothSpellings) {
  for (const char* name : {"e2b", "12b"})  // .saved: as transformers 5.22.2 wrote the hub's file anew
    EXPECT_EQ(plan_of(published(name)).value(), plan_of(published(std::string(name) + ".saved")).value()) << name;
  for (const char* name : {"e2b", "e4b", "12b", "26b-a4b", "31b"}) {
    const json hub = published(name);
    json other = hub;
    json& text = other["text_config"];
    for (std::size_t i = 0; i < text["layer_types"].size(); ++i) {
      if (text["layer_types"][i] != "full_attention") continue;
      json& overrides = text["per_layer_config"][(i < 10 ? "0" : "") + std::to_string(i)];
      overrides["head_dim"] = text["global_head_dim"];
      if (text["attention_k_eq_v"] == true) overrides["num_key_value_heads"] = text["num_global_key_value_heads"];
    }
    text.erase("global_head_dim");
    text.erase("num_global_key_value_heads");
    EXPECT_EQ(plan_of(hub).value(), plan_of(other).value()) << name;
  }
}

TEST(Plan, OfTheTextModelAloneHasNoBlocksAndNoPlaceholders) {
  for (const char* name : {"12b", "31b"}) {
    const json wrapper = published(name);
    const auto plan = plan_of(wrapper["text_config"]);
    ASSERT_TRUE(plan) << message_of(plan);
    EXPECT_THAT(plan->placeholder_ids, IsEmpty());
    for (const LayerPlan& layer : plan->layers) EXPECT_EQ(layer.blocks, Blocks::causal);
  }
}

TEST(Plan, HasNoBlocksWithoutTheKey) {
  json config = published("12b");
  config["text_config"]["use_bidirectional_attention"] = nullptr;
  const auto plan = plan_of(config);
  ASSERT_TRUE(plan) << message_of(plan);
  for (const LayerPlan& layer : plan->layers) EXPECT_EQ(layer.blocks, Blocks::causal);
}

TEST(Plan, LeavesOutPlaceholdersThatAreNull) {
  json config = published("31b");
  config["video_token_id"] = nullptr;
  config["audio_token_id"] = 7;
  EXPECT_THAT(plan_of(config)->placeholder_ids, ElementsAre(258880, 7));
}

TEST(Plan, SharesKvOfTheLastLayerOfTheSameKind) {
  const std::string s = "sliding_attention", f = "full_attention";
  const auto plan = text_plan({{"num_hidden_layers", 7},
                               {"num_kv_shared_layers", 3},
                               {"layer_types", {s, f, f, s, f, s, f}},
                               {"attention_k_eq_v", true},
                               {"num_global_key_value_heads", 2},
                               {"use_double_wide_mlp", true}});
  ASSERT_TRUE(plan) << message_of(plan);
  std::vector<int> sources, widths;
  for (const LayerPlan& layer : plan->layers) {
    sources.push_back(layer.kv.layer);
    widths.push_back(layer.ffn_width);
  }
  EXPECT_THAT(sources, ElementsAre(0, 1, 2, 3, 2, 3, 2));
  EXPECT_THAT(widths, ElementsAre(9216, 9216, 9216, 9216, 18432, 18432, 18432));
  EXPECT_EQ(plan->layers[3].kv.kind, KvSource::own);
  EXPECT_EQ(plan->layers[4].kv.kind, KvSource::earlier);
  EXPECT_TRUE(plan->layers[4].value_is_key);
  EXPECT_FALSE(plan->layers[5].value_is_key);
}

TEST(Plan, KnowsTheSpellingsOfEachActivation) {
  for (const auto& [name, activation] : {std::pair("gelu_pytorch_tanh", Activation::gelu_tanh),
                                         {"gelu_new", Activation::gelu_tanh},
                                         {"gelu", Activation::gelu_erf},
                                         {"silu", Activation::silu},
                                         {"swish", Activation::silu},
                                         {"relu", Activation::relu}})
    EXPECT_EQ(text_plan({{"hidden_activation", name}})->activation, activation) << name;
  for (const char* name : {"relu2", "quick_gelu", "gelu_10", ""}) {
    const auto plan = text_plan({{"hidden_activation", name}});
    EXPECT_THAT(message_of(plan), HasSubstr("c: hidden_activation: expected gelu_pytorch_tanh"));
    EXPECT_EQ(plan.error().kind, Failure::unsupported);
  }
}

struct Bad {
  std::string keys, message;
};

std::string layer_0(const std::string& overrides) {
  return R"({"num_hidden_layers": 1, "per_layer_config": {"0": )" + overrides + "}}";
}

TEST(Plan, NamesTheKeyOfAContradiction) {
  const std::vector<Bad> cases = {
      Bad{R"({"num_kv_shared_layers": 29})",
          "num_kv_shared_layers: expected a layer of full_attention before layer 1, whose K/V layer 5 shares, found "
          "none with 29"},
      Bad{R"({"num_attention_heads": 6})",
          "num_key_value_heads: expected a divisor of num_attention_heads = 6, found 4 in layer 0"},
      Bad{R"({"attention_k_eq_v": true, "num_global_key_value_heads": 0})",
          "num_global_key_value_heads: expected a divisor"},
      Bad{R"({"attention_k_eq_v": true, "num_global_key_value_heads": 3})",
          "num_global_key_value_heads: expected a divisor"},
      Bad{layer_0(R"({"num_key_value_heads": 3})"),
          "num_key_value_heads: expected a divisor of num_attention_heads = 8, found 3"},
      Bad{layer_0(R"({"head_dim": 9})"), "head_dim: expected an even number, found 9 in layer 0"},
      Bad{R"({"head_dim": 7})", "head_dim: expected an even number, found 7 in layer 0"},
      Bad{R"({"global_head_dim": 511})", "global_head_dim: expected an even number, found 511"},
      Bad{R"({"num_hidden_layers": 4096, "hidden_size_per_layer_input": 1048576})",
          "hidden_size_per_layer_input: expected times"},
      Bad{R"({"vocab_size_per_layer_input": 2, "pad_token_id": 2})",
          "pad_token_id: expected below vocab_size_per_layer_input = 2"},
      Bad{R"({"enable_moe_block": true, "num_experts": 4, "top_k_experts": 5, "moe_intermediate_size": 8})",
          "top_k_experts: expected at most num_experts = 4, found 5"},
      Bad{R"({"per_layer_config": {"5": {"head_dim": 512}}})",
          "per_layer_config: expected one head_dim and num_key_value_heads for all layers of full_attention, "
          "found layers 5 and 11 to differ"},
      Bad{R"({"per_layer_config": {"1": {"num_key_value_heads": 2}}})", "per_layer_config: expected one head_dim"},
      Bad{R"({"num_hidden_layers": 1, "rope_parameters": {"full_attention":
                {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2, "partial_rotary_factor": 0.5}}})",
          "rope_parameters.full_attention.partial_rotary_factor: expected 1 with rope_type linear"}};
  for (const auto& [keys, message] : cases)
    EXPECT_THAT(message_of(plan_of({{"model_type", "gemma4"}, {"text_config", json::parse(keys)}})),
                HasSubstr("c: text_config." + message))
        << keys;
}

TEST(Plan, BoundsProductsOfAConfigMadeByHand) {
  Config config = parse_config(R"({"model_type":"gemma4_text"})", "c").value();
  config.num_attention_heads = 1 << 24;
  EXPECT_THAT(message_of(make_plan(config)),
              HasSubstr("num_attention_heads: expected num_attention_heads * head_dim below 2^31"));
}

TEST(InverseFrequencies, AreThoseOfTransformers) {
  // torch's fp32 pow is within 1 ulp of the exact one, and differs between instruction sets; ours is the nearest float.
  for (const json& row :
       json::parse(bytes_of(std::string(ASSAY_SOURCE_DIR) + "/tests/model/inverse_frequencies.json"))) {
    json rope = {{"rope_type", row["rope_type"]},
                 {"rope_theta", row["theta"]},
                 {"factor", row["factor"]},
                 {"partial_rotary_factor", row["partial_rotary_factor"]}};
    const auto plan = text_plan({{"num_hidden_layers", 1},
                                 {"global_head_dim", row["head_dim"]},
                                 {"rope_parameters", {{"full_attention", rope}}}});
    ASSERT_TRUE(plan) << message_of(plan);
    const std::vector<float>& table = plan->layers[0].rope.inv_freq;
    const auto bits = row["bits"].get<std::vector<std::int32_t>>();
    ASSERT_LE(bits.size(), table.size());
    int off = 0;
    for (std::size_t i = 0; i < table.size(); ++i) {
      const std::int32_t distance = std::bit_cast<std::int32_t>(table[i]) - (i < bits.size() ? bits[i] : 0);
      EXPECT_LE(std::abs(distance), i < bits.size() ? 1 : 0) << row["theta"] << " " << row["head_dim"] << " " << i;
      off += distance != 0 ? 1 : 0;
    }
    EXPECT_LE(off, 1) << row["theta"] << " " << row["head_dim"];
  }
}

}  // namespace
}  // namespace assay
