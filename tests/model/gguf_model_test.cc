// GGUF files of Gemma 4 as llama.cpp writes them (golden/generate/gguf_cases.py): the plan is that of the config.json,
// the tensors are those that transformers was given, and a file that contradicts itself is refused.
#include "model/gguf/gguf_model.h"

#include <cstring>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "gguf_entry.h"
#include "model/checkpoint.h"
#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::Each;
using ::testing::HasSubstr;

const std::filesystem::path kData = ASSAY_SOURCE_DIR "/tests/data/gguf";
constexpr const char* kModels[] = {"e2b-q4_0", "26b-a4b-q8_0", "12b-bf16", "e4b-f32"};

json expectation(const std::string& name) { return json::parse(bytes_of(kData / (name + ".json"))); }

/// A model's file, to be bent in place.
class Bent {
 public:
  explicit Bent(const std::string& name) : bytes_(bytes_of(kData / (name + ".gguf"))) {}

  /// Another name of the same length, so that the old one is missing.
  Bent& rename(const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());
    bytes_.replace(place(from), to.size(), to);
    return *this;
  }
  /// The number behind a key: value `i` of an array, the only one of a scalar.
  template <class T>
  Bent& set(const std::string& key, T value, std::size_t i = 0, bool array = false) {
    const std::size_t at = place(key) + key.size() + (array ? 16 : 4) + i * sizeof value;
    std::memcpy(bytes_.data() + at, &value, sizeof value);
    return *this;
  }
  template <class... Parts>
  Bent& add(const std::string& key, GgufType type, Parts... parts) {
    add_gguf_entry(bytes_, key, type, parts...);
    return *this;
  }
  Result<GgufModel> read() const {
    ASSAY_TRY(file, Gguf::parse(std::as_bytes(std::span(bytes_)), "file"));
    return read_gguf_model(file);
  }
  std::string message() const { return message_of(read()); }
  /// As a file, through the door that every engine uses.
  std::string opened() const {
    const Temporary folder;
    put(folder / "model.gguf", bytes_);
    return message_of(Checkpoint::open(folder / "model.gguf"));
  }

 private:
  /// Names are preceded by their length, which keeps `blk.0.attn_k` apart from `blk.0.attn_k_norm`.
  std::size_t place(const std::string& name) const {
    const std::uint64_t size = name.size();
    std::string whole(sizeof size, '\0');
    std::memcpy(whole.data(), &size, sizeof size);
    const std::size_t at = bytes_.find(whole + name);
    EXPECT_NE(at, std::string::npos) << name;
    return at == std::string::npos ? 0 : at + sizeof size;
  }
  std::string bytes_;
};

TEST(GgufModel, GivesThePlanOfTheConfig) {
  for (const char* name : kModels) {
    const auto checkpoint = Checkpoint::open(kData / (std::string(name) + ".gguf"));
    ASSERT_TRUE(checkpoint) << message_of(checkpoint);
    const Config config = parse_config(expectation(name)["config"].dump(), name).value();
    EXPECT_EQ(checkpoint->plan, make_plan(config).value()) << name;
    EXPECT_EQ(checkpoint->config.unified, false);
  }
}

TEST(GgufModel, HasTheTensorsThatTransformersWasGiven) {
  for (const char* name : kModels) {
    const Checkpoint checkpoint = Checkpoint::open(kData / (std::string(name) + ".gguf")).value();
    const json expected = expectation(name)["tensors"];
    for (const auto& [tensor_name, tensor] : expected.items()) {
      const auto found = checkpoint.tensor(tensor_name);
      ASSERT_TRUE(found) << name << ": " << message_of(found);
      EXPECT_EQ(name_of(found->dtype), tensor["type"].get<std::string>()) << name << ": " << tensor_name;
      const std::vector<float> values = found->floats().value();
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(values))), tensor["sha256"].get<std::string>())
          << name << ": " << tensor_name;
    }
    EXPECT_EQ(checkpoint.tensors.size(), expected.size()) << name;
  }
}

TEST(GgufModel, NamesEveryTensorOfTheTextModelAndNothingElse) {
  EXPECT_EQ(text_model_name("token_embd.weight"), "embed_tokens.weight");
  EXPECT_EQ(text_model_name("output.weight"), "lm_head.weight");
  EXPECT_EQ(text_model_name("blk.41.post_ffw_norm_1.weight"), "layers.41.post_feedforward_layernorm_1.weight");
  for (const char* other : {"blk.03.attn_q.weight", "blk.+3.attn_q.weight", "blk..attn_q.weight", "blk.3", "blk.3.",
                            "blk.99999999999.attn_q.weight", "blk.3.attn_q.bias", "rope_freqs.weight",
                            "embed_tokens.weight", "v.blk.0.attn_q.weight", ""})
    EXPECT_FALSE(text_model_name(other)) << other;
}

TEST(GgufModel, NeedsEachKey) {
  for (const std::string key :
       {"embedding_length", "block_count", "attention.layer_norm_rms_epsilon", "attention.sliding_window_pattern",
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.key_length_swa",
        "rope.freq_base", "rope.freq_base_swa", "attention.sliding_window", "feed_forward_length"}) {
    std::string other = key;
    other.back() = '#';
    EXPECT_THAT(Bent("12b-bf16").rename("gemma4." + key, "gemma4." + other).message(),
                HasSubstr("file: gemma4." + key + ": expected a"));
  }
  for (const std::string key : {"expert_used_count", "expert_feed_forward_length"}) {
    std::string other = key;
    other.back() = '#';
    EXPECT_THAT(Bent("26b-a4b-q8_0").rename("gemma4." + key, "gemma4." + other).message(),
                HasSubstr("gemma4." + key + ": expected an integer, found none"));
  }
}

TEST(GgufModel, NamesTheKeyThatIsOutOfRange) {
  const auto bent = [] { return Bent("e2b-q4_0"); };
  EXPECT_THAT(bent().set("gemma4.block_count", 5000U).message(), HasSubstr("gemma4.block_count: expected 1 to 4096"));
  EXPECT_THAT(bent().set("gemma4.block_count", 5U).message(), HasSubstr("expected an array of 5 bool, one a layer"));
  EXPECT_THAT(bent().set("gemma4.embedding_length", 0U).message(), HasSubstr("gemma4.embedding_length: expected 1"));
  EXPECT_THAT(bent().set("gemma4.attention.shared_kv_layers", 4U).message(), HasSubstr("expected 0 to 3, found 4"));
  EXPECT_THAT(bent().set("gemma4.attention.value_length_swa", 16U).message(),
              HasSubstr("gemma4.attention.value_length_swa: expected the key length 32, found 16"));
  EXPECT_THAT(bent().set("gemma4.rope.dimension_count", 16U).message(),
              HasSubstr("gemma4.rope.dimension_count: expected the head dimension 64, found 16"));
  EXPECT_THAT(bent().set("gemma4.rope.freq_base", -1.0F).message(), HasSubstr("gemma4.rope.freq_base: expected"));
  EXPECT_THAT(bent().set("gemma4.attention.head_count", 3U).set("gemma4.attention.head_count_kv", 2U).message(),
              HasSubstr("num_key_value_heads: expected a divisor"));
  EXPECT_THAT(bent().set("gemma4.feed_forward_length", 0, 2, true).message(),
              HasSubstr("gemma4.feed_forward_length: expected 1 to"));
  EXPECT_THAT(bent().set("tokenizer.ggml.padding_token_id", 96U).message(),
              HasSubstr("tokenizer.ggml.padding_token_id: expected an id below 96, found 96"));
  EXPECT_THAT(bent().rename("gemma4.final_logit_softcapping", "gemma4.rope.scaling.type######").message(),
              "no failure");
}

// llama.cpp's loader takes both, and its own writer (llama_model_save_to_file) knows the latter alone.
TEST(GgufModel, LayerTypesAreFlagsOrIntegers) {
  const std::string key = "gemma4.attention.sliding_window_pattern", other = "gemma4.attention.sliding_window_patterm";
  const Plan expected = Bent("e4b-f32").read()->plan;
  const auto with = [&](GgufType element, auto one, auto none) {
    return Bent("e4b-f32")
        .rename(key, other)
        .add(key, GgufType::array, std::uint32_t(element), std::uint64_t{4}, one, none, one, none);
  };
  for (const Bent& file : {with(GgufType::u32, 1U, 0U), with(GgufType::i32, 1, 0)}) {
    const auto model = file.read();
    ASSERT_TRUE(model) << message_of(model);
    EXPECT_EQ(model->plan, expected);
  }
  EXPECT_THAT(with(GgufType::f32, 1.0F, 0.0F).message(), HasSubstr("expected an array of 4 bool, one a layer, found"));
}

TEST(GgufModel, RefusesPositionsThatAreScaled) {
  const auto bent = [] { return Bent("e4b-f32"); };
  const auto typed = [&](std::uint32_t letters, std::uint16_t last) {  // a string of six bytes
    return bent().add("gemma4.rope.scaling.type", GgufType::string, std::uint64_t{6}, letters, last);
  };
  const auto linear = [&] { return typed(0x656e696cU, 0x7261U); };  // "linear"
  // What llama.cpp saves: it reads a factor of 0 as none.
  EXPECT_EQ(linear().add("gemma4.rope.scaling.factor", GgufType::f32, 0.0F).message(), "no failure");
  EXPECT_EQ(linear().message(), "no failure");
  EXPECT_THAT(typed(0x656e696cU, 0x7371U).message(),
              HasSubstr("gemma4.rope.scaling.type: expected none, found lineqs"));
  // A scaling without a name is linear.
  for (const std::string key : {"gemma4.rope.scaling.factor", "gemma4.rope.scale_linear"}) {
    EXPECT_EQ(bent().add(key, GgufType::f32, 1.0F).message(), "no failure");
    const auto scaled = bent().add(key, GgufType::f32, 8.0F).read();
    ASSERT_FALSE(scaled) << key;
    EXPECT_EQ(scaled.error().kind, Failure::unsupported);
    EXPECT_THAT(message_of(scaled), HasSubstr(key + ": expected 0 or 1: no scaling, found 8"));
  }
  EXPECT_EQ(bent()
                .add("gemma4.rope.scaling.type", GgufType::string, std::uint64_t{4}, 0x656e6f6eU)  // "none"
                .add("gemma4.rope.scaling.factor", GgufType::f32, 8.0F)
                .message(),
            "no failure");
}

TEST(GgufModel, RefusesRowsThatSeeThoseBehindThem) {
  EXPECT_EQ(Bent("e4b-f32").add("gemma4.attention.causal", GgufType::boolean, true).message(), "no failure");
  EXPECT_THAT(Bent("e4b-f32").add("gemma4.attention.causal", GgufType::boolean, false).message(),
              HasSubstr("gemma4.attention.causal: expected true, found false"));
}

TEST(GgufModel, LeavesNothingOutInSilence) {
  EXPECT_THAT(Bent("e4b-f32").set("gemma4.embedding_length_per_layer_input", 0U).message(),
              HasSubstr("gemma4.embedding_length_per_layer_input: expected more than 0, as there is "
                        "per_layer_token_embd.weight, found 0"));
  EXPECT_THAT(Bent("e4b-f32")
                  .rename("gemma4.embedding_length_per_layer_input", "gemma4.embedding_length_per_layer_inpus")
                  .message(),
              HasSubstr("gemma4.embedding_length_per_layer_input: expected more than 0, as there is "
                        "per_layer_token_embd.weight, found none"));
  EXPECT_THAT(Bent("26b-a4b-q8_0").set("gemma4.expert_count", 0U).message(),
              HasSubstr("gemma4.expert_count: expected more than 0, as there is blk.0.ffn_gate_inp.weight, found 0"));
  const auto layer_scale_as = [](const std::string& name) {
    return Bent("e2b-q4_0").rename("blk.1.layer_output_scale.weight", name).read();
  };
  EXPECT_THAT(message_of(layer_scale_as("blk.4.layer_output_scale.weight")),
              HasSubstr("blk.4.layer_output_scale.weight: expected layers below 4, found layer 4"));
  const auto scaled = layer_scale_as("blk.1.per_layer_proj_gate.scale");
  ASSERT_FALSE(scaled);
  EXPECT_EQ(scaled.error().kind, Failure::unsupported);
  EXPECT_THAT(message_of(scaled), HasSubstr("blk.1.per_layer_proj_gate.scale: expected weights without a scale"));
}

TEST(GgufModel, ThePartsOfASplitAreRefused) {
  EXPECT_EQ(Bent("e4b-f32").add("split.count", GgufType::u16, std::uint16_t{0}).message(), "no failure");
  EXPECT_THAT(Bent("e4b-f32").add("split.count", GgufType::u16, std::uint16_t{2}).message(),
              HasSubstr("split.count: expected 1: the whole model in one file, found 2"));
  EXPECT_THAT(Bent("e4b-f32").add("split.count", GgufType::u64, ~std::uint64_t{0}).message(),
              HasSubstr("split.count: expected an integer, found u64"));
}

TEST(GgufModel, TakesFeedForwardWidthsAsTheyAre) {
  const auto model = Bent("e2b-q4_0").set("gemma4.feed_forward_length", 32, 1, true).read();
  ASSERT_TRUE(model) << message_of(model);
  EXPECT_EQ(model->plan.layers[0].ffn_width, 64);
  EXPECT_EQ(model->plan.layers[1].ffn_width, 32);
  EXPECT_EQ(model->plan.layers[3].ffn_width, 128);
  EXPECT_THAT(Bent("e2b-q4_0").set("gemma4.feed_forward_length", 32, 1, true).opened(),
              HasSubstr("layers.1.mlp.gate_proj.weight: expected shape [32, 256], found [64, 256]"));
}

TEST(GgufModel, RefusesAnotherArchitecture) {
  const auto other = Bent("e2b-q4_0").rename("gemma4", "gemma3").read();
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, Failure::unsupported);
  EXPECT_THAT(message_of(other), HasSubstr("general.architecture: expected gemma4, found gemma3"));
  EXPECT_THAT(Bent("e2b-q4_0").rename("general.architecture", "general.architecturf").message(),
              HasSubstr("general.architecture: expected a string, found none"));
}

TEST(GgufModel, NeedsItsTensors) {
  EXPECT_THAT(Bent("e2b-q4_0").rename("token_embd.weight", "token_embd.weighs").message(),
              HasSubstr("token_embd.weight: expected a tensor, found none"));
  EXPECT_THAT(Bent("e2b-q4_0").rename("per_layer_token_embd.weight", "per_layer_token_embd.weighs").message(),
              HasSubstr("per_layer_token_embd.weight: expected a tensor, found none"));
  EXPECT_THAT(Bent("e2b-q4_0").rename("rope_freqs.weight", "rope_freqs.weighs").message(),
              HasSubstr("rope_freqs.weight: expected F32 [32], as there are full layers, found none"));
  EXPECT_THAT(Bent("e2b-q4_0").rename("blk.1.ffn_up.weight", "blk.1.ffn_upp.weigh").opened(),
              HasSubstr("layers.1.mlp.up_proj.weight: expected a tensor of shape [64, 256], found none"));
  EXPECT_EQ(Bent("e2b-q4_0").rename("blk.1.layer_output_scale.weight", "blk.1.layer_output_scale.weighs").opened(),
            "no failure")
      << "a missing layer_scalar is 1";
  EXPECT_EQ(Bent("e4b-f32").opened(), "no failure");
  EXPECT_THAT(Bent("e4b-f32").rename("blk.1.attn_v.weight", "blk.1.attn_w.weight").opened(), "no failure")
      << "the only full layer with its own K/V: V is K there";
}

TEST(GgufModel, SaysWhichFormatANeededTensorHas) {
  const std::string name = "blk.2.ffn_down.weight";
  // Behind a tensor's name: how many dimensions (4 bytes), two extents (8 each), the type: 6 is Q5_0.
  const auto q5_0 = [&] { return Bent("26b-a4b-q8_0").set(name, 6U, 4); };
  EXPECT_THAT(q5_0().opened(), HasSubstr("layers.2.mlp.down_proj.weight: expected F32, F16, BF16, Q8_0, Q4_0, Q6_K"));
  EXPECT_THAT(q5_0().opened(), HasSubstr("found Q5_0"));
  EXPECT_EQ(q5_0().message(), "no failure") << "opening the file is not the place to refuse it";
}

TEST(GgufModel, ReadsRopeFactors) {
  Bent file("12b-bf16");
  const auto plain = file.read();
  ASSERT_TRUE(plain) << message_of(plain);
  EXPECT_THAT(
      std::vector<float>(plain->plan.layers[3].rope.inv_freq.begin() + 3, plain->plan.layers[3].rope.inv_freq.end()),
      Each(0.0F));
  EXPECT_GT(plain->plan.layers[3].rope.inv_freq[2], 0.0F);
}

}  // namespace
}  // namespace assay
