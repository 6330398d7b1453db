#include "model/assistant.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// As small as a drafter gets: two sliding layers, one full, a vocabulary of 12 in 4 clusters.
json tiny(const std::string& type = "gemma4_assistant") {
  json text = {{"vocab_size", 12},
               {"hidden_size", 6},
               {"intermediate_size", 5},
               {"num_hidden_layers", 3},
               {"num_attention_heads", 4},
               {"num_key_value_heads", 2},
               {"head_dim", 2},
               {"global_head_dim", 4},
               {"sliding_window", 3},
               {"layer_types", {"sliding_attention", "sliding_attention", "full_attention"}},
               {"final_logit_softcapping", 30.0}};
  if (type == "gemma4_assistant") {
    text["hidden_size_per_layer_input"] = 0;
    text["vocab_size_per_layer_input"] = 0;
  }
  return {{"model_type", type}, {"backbone_hidden_size", 10},       {"use_ordered_embeddings", true},
          {"num_centroids", 4}, {"centroid_intermediate_top_k", 2}, {"text_config", text}};
}

Result<Plan> plan_of(const json& config) {
  ASSAY_TRY(parsed, parse_config(config.dump(), "c"));
  return make_plan(parsed);
}

Result<Plan> plan_with(const char* pointer, const json& value, const std::string& type = "gemma4_assistant") {
  json config = tiny(type);
  config[json::json_pointer(pointer)] = value;
  return plan_of(config);
}

/// A target for it: two layers with K/V of each kind, then one of each that share.
json target(int hidden = 10) {
  json config = {
      {"model_type", "gemma4_text"}, {"vocab_size", 12},         {"hidden_size", hidden}, {"num_hidden_layers", 6},
      {"num_attention_heads", 4},    {"num_key_value_heads", 2}, {"head_dim", 2},         {"global_head_dim", 4},
      {"num_kv_shared_layers", 2}};
  config["layer_types"] = json::array();
  for (const char* kind : {"sliding", "full", "sliding", "full", "sliding", "full"})
    config["layer_types"].push_back(std::string(kind) + "_attention");
  return config;
}

TEST(Assistant, ResolvesEveryLayerToTheTarget) {
  for (const std::string type : {"gemma4_assistant", "gemma4_unified_assistant"}) {
    const auto plan = plan_of(tiny(type));
    ASSERT_TRUE(plan) << message_of(plan);
    ASSERT_TRUE(plan->assistant);
    EXPECT_EQ(plan->assistant->backbone, 10);
    EXPECT_EQ(plan->assistant->centroids, (Centroids{4, 2}));
    EXPECT_EQ(plan->hidden, 6);
    EXPECT_EQ(plan->softcap, 0) << "no drafter's forward has one";
    EXPECT_EQ(plan->ple_width, 0);
    EXPECT_TRUE(plan->placeholder_ids.empty());
    ASSERT_EQ(plan->layers.size(), 3U);
    for (const LayerPlan& layer : plan->layers) EXPECT_EQ(layer.kv, (KvSource{KvSource::target, -1}));
    EXPECT_EQ(plan->layers[0].window, 3);
    EXPECT_EQ(plan->layers[2].window, 0);
    EXPECT_EQ(plan->layers[2].head_dim, 4);
  }
}

TEST(Assistant, TakesTheDefaultsOfItsClass) {
  EXPECT_THAT(message_of(plan_of({{"model_type", "gemma4_assistant"}})),
              HasSubstr("hidden_size_per_layer_input: expected 0 in a drafter, found 256"))
      << "the text model's own default is refused by Gemma4AssistantConfig too";
  const auto unified = parse_config(R"({"model_type":"gemma4_unified_assistant"})", "c");
  ASSERT_TRUE(unified) << message_of(unified);
  EXPECT_EQ(unified->assistant->backbone_hidden_size, 3840);
  EXPECT_EQ(unified->assistant->num_centroids, 2048);
  EXPECT_EQ(unified->assistant->centroid_intermediate_top_k, 32);
  EXPECT_FALSE(unified->assistant->use_ordered_embeddings);
  EXPECT_EQ(unified->num_kv_shared_layers, unified->num_hidden_layers);
  EXPECT_EQ(unified->sliding_window, 1024);
  json narrow = tiny();
  narrow.erase("backbone_hidden_size");
  EXPECT_EQ(plan_of(narrow)->assistant->backbone, 1536);
}

TEST(Assistant, WithoutOrderedEmbeddingsReadsNoClusters) {
  json config = tiny();
  config["use_ordered_embeddings"] = false;
  config["num_centroids"] = 5;  // divides nothing, and nobody asks
  const auto plan = plan_of(config);
  ASSERT_TRUE(plan) << message_of(plan);
  EXPECT_EQ(plan->assistant->centroids, std::nullopt);
}

TEST(Assistant, RefusesWhatItsClassRefuses) {
  const auto message = [](const char* pointer, const json& value, const std::string& type = "gemma4_assistant") {
    return message_of(plan_with(pointer, value, type));
  };
  EXPECT_EQ(message("/text_config/num_kv_shared_layers", 2),
            "c: text_config.num_kv_shared_layers: expected 0 or num_hidden_layers = 3: a drafter has no K/V, found 2");
  EXPECT_EQ(plan_with("/text_config/num_kv_shared_layers", 2, "gemma4_unified_assistant").error().kind,
            Failure::unsupported);
  EXPECT_TRUE(plan_with("/text_config/num_kv_shared_layers", 3));
  EXPECT_THAT(message("/text_config/hidden_size_per_layer_input", 4), HasSubstr("expected 0 in a drafter, found 4"));
  EXPECT_THAT(message("/text_config/vocab_size_per_layer_input", 12), HasSubstr("expected 0 to 0, found 12"));
  EXPECT_THAT(message("/text_config/use_double_wide_mlp", true), HasSubstr("expected false in a drafter"));
  json experts = tiny();
  experts["text_config"].update(
      {{"enable_moe_block", true}, {"num_experts", 4}, {"top_k_experts", 2}, {"moe_intermediate_size", 7}});
  EXPECT_THAT(message_of(plan_of(experts)), HasSubstr("enable_moe_block: expected false in a drafter"));
  EXPECT_EQ(message("/num_centroids", 5), "c: num_centroids: expected a divisor of vocab_size = 12, found 5");
  EXPECT_THAT(message("/num_centroids", 0), HasSubstr("num_centroids: expected 1 to"));
  EXPECT_EQ(message("/centroid_intermediate_top_k", 5),
            "c: centroid_intermediate_top_k: expected at most num_centroids = 4, found 5");
  EXPECT_THAT(message("/backbone_hidden_size", -1), HasSubstr("backbone_hidden_size: expected 1 to"));
  EXPECT_THAT(message("/use_ordered_embeddings", "yes"), HasSubstr("expected true or false"));
  EXPECT_THAT(message("/text_config", 3), HasSubstr("text_config: expected an object"));
}

TEST(Assistant, ReadsTheLastLayerOfEachKindThatHasKeys) {
  const Plan sharing = plan_of(target()).value();
  EXPECT_EQ(layer_for_drafters(sharing, true), 2);
  EXPECT_EQ(layer_for_drafters(sharing, false), 3);
  json alone = target();
  alone["num_kv_shared_layers"] = 0;
  EXPECT_EQ(layer_for_drafters(plan_of(alone).value(), true), 4);
  EXPECT_EQ(layer_for_drafters(plan_of(alone).value(), false), 5);

  const auto plan = with_target(plan_of(tiny()).value(), sharing);
  ASSERT_TRUE(plan) << message_of(plan);
  EXPECT_EQ(plan->layers[0].kv, (KvSource{KvSource::target, 2}));
  EXPECT_EQ(plan->layers[1].kv, (KvSource{KvSource::target, 2}));
  EXPECT_EQ(plan->layers[2].kv, (KvSource{KvSource::target, 3}));
}

TEST(Assistant, RefusesATargetThatDoesNotFit) {
  const Plan drafter = plan_of(tiny()).value();
  const auto message = [&](const json& config) { return message_of(with_target(drafter, plan_of(config).value())); };
  EXPECT_EQ(message(target(11)), "drafter: backbone_hidden_size: expected 11, as the target has it, found 10");
  json changed = target();
  changed["vocab_size"] = 11;
  EXPECT_EQ(message(changed), "drafter: vocab_size: expected at most the target's 11, found 12");
  changed = target();
  changed["global_head_dim"] = 6;
  EXPECT_EQ(message(changed),
            "drafter: layer 2: expected 2 K/V heads of 6, as layer 3 of the target, found 2 K/V heads of 4");
  changed = target();
  changed["num_key_value_heads"] = 4;
  EXPECT_THAT(message(changed), HasSubstr("layer 0: expected 4 K/V heads of 2"));
  changed = target();
  changed["num_kv_shared_layers"] = 0;
  changed["layer_types"] = std::vector<std::string>(6, "full_attention");
  EXPECT_EQ(message(changed), "drafter: layer 0: expected a layer of sliding_attention in the target, found none");
  const Plan plain = plan_of(target()).value();
  EXPECT_THAT(message_of(with_target(plain, plain)), HasSubstr("gemma4_assistant"));
  EXPECT_THAT(message_of(with_target(drafter, drafter)), HasSubstr("another drafter"));
}

class AssistantCheckpoint : public ::testing::Test {
 protected:
  AssistantCheckpoint() {
    for (const ExpectedTensor& expected : expected_tensors(plan_of(tiny()).value())) {
      std::int64_t count = 1;
      for (const std::int64_t extent : expected.shape) count *= extent;
      const bool text = expected.name.starts_with("layers.") || expected.name.starts_with("embed_tokens.") ||
                        expected.name == "norm.weight";
      tensors_.push_back({(text ? "model." : "") + expected.name,
                          Tensor::own(expected.shape, std::vector<float>(std::size_t(count), 0.5F))});
    }
    tensors_.push_back({kTokenOrdering, ordering({11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0})});
  }
  static Tensor ordering(const std::vector<std::int64_t>& ids) { return Tensor::own({std::int64_t(ids.size())}, ids); }
  NamedTensor& named(std::string_view name) {
    return *std::find_if(tensors_.begin(), tensors_.end(), [&](const NamedTensor& t) { return t.name == name; });
  }
  std::string message() {
    put(directory_ / "config.json", tiny().dump());
    EXPECT_EQ(message_of(write_safetensors(directory_ / "model.safetensors", tensors_)), "no failure");
    return message_of(Checkpoint::open(directory_.path()));
  }

  std::vector<NamedTensor> tensors_;
  Temporary directory_;
};

TEST_F(AssistantCheckpoint, HoldsTheProjectionsAndTheClusters) {
  EXPECT_EQ(named("pre_projection.weight").tensor.shape, (std::vector<std::int64_t>{6, 20}));
  EXPECT_EQ(named("post_projection.weight").tensor.shape, (std::vector<std::int64_t>{10, 6}));
  EXPECT_EQ(named("masked_embedding.centroids.weight").tensor.shape, (std::vector<std::int64_t>{4, 6}));
  for (const NamedTensor& tensor : tensors_) {
    EXPECT_EQ(tensor.name.find("k_proj"), std::string::npos);
    EXPECT_EQ(tensor.name.find("v_proj"), std::string::npos);
  }
  EXPECT_EQ(message(), "no failure");
}

TEST_F(AssistantCheckpoint, NamesATensorThatIsMissingOrWrong) {
  named("post_projection.weight").tensor = Tensor::own({6, 10}, std::vector<float>(60, 1));
  EXPECT_THAT(message(), HasSubstr("post_projection.weight: expected shape [10, 6], found [6, 10]"));
  named("post_projection.weight").name = "somewhere.else";
  EXPECT_THAT(message(), HasSubstr("post_projection.weight: expected a tensor of shape [10, 6], found none"));
}

TEST_F(AssistantCheckpoint, ChecksTheTokenOrdering) {
  const auto with = [&](Tensor tensor) {
    named(kTokenOrdering).tensor = std::move(tensor);
    return message();
  };
  EXPECT_THAT(with(ordering({0, 1, 2})), HasSubstr("token_ordering: expected shape [12], found [3]"));
  EXPECT_THAT(with(Tensor::own({12}, std::vector<float>(12, 1))), HasSubstr("expected integers, found F32"));
  EXPECT_THAT(with(ordering({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12})), HasSubstr("expected ids from 0 to 11, found 12"));
  EXPECT_THAT(with(ordering({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, -1})), HasSubstr("expected ids from 0 to 11, found -1"));
  EXPECT_EQ(with(ordering(std::vector<std::int64_t>(12, 5))), "no failure") << "transformers computes with it";
  tensors_.pop_back();
  EXPECT_THAT(message(), HasSubstr("token_ordering: expected a tensor of shape [12], found none"));
}

}  // namespace
}  // namespace assay
