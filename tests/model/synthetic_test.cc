// Synthetic checkpoints against their Python twin (golden/generate/synthetic.py): names and shapes from transformers'
// modules, bits from another implementation of the definition; and the cache of what was generated.
#include "model/synthetic.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <thread>

#include <sys/resource.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "model/published_config.h"
#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// A text model of a few thousand weights, every kind of layer in it, its rows whole blocks.
Config tiny() {
  return parse_config(R"({"model_type": "gemma4_text", "hidden_size": 256, "intermediate_size": 64, "vocab_size": 40,
      "vocab_size_per_layer_input": 40, "hidden_size_per_layer_input": 128, "num_hidden_layers": 4,
      "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "global_head_dim": 64, "sliding_window": 4,
      "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention", "sliding_attention",
      "full_attention"], "enable_moe_block": true, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32})",
                      "tiny")
      .value();
}

TEST(Synthetic, HasTheBitsOfItsTwin) {
  const json expected = json::parse(bytes_of(ASSAY_SOURCE_DIR "/tests/data/synthetic.json"));
  EXPECT_EQ(expected["models"].size(), 8U);
  for (const auto& [text, model] : expected["models"].items()) {
    const auto name = SyntheticName::parse(text);
    ASSERT_TRUE(name) << message_of(name);
    const Plan plan = make_plan(published_config(name->variant).value()).value();
    std::map<std::string, SyntheticTensor> tensors;
    const auto made = synthetic_tensors(plan, name->format);
    ASSERT_TRUE(made) << message_of(made);
    for (const SyntheticTensor& tensor : *made) tensors.emplace(tensor.name, tensor);
    EXPECT_EQ(tensors.size(), model["tensors"].get<std::size_t>()) << text;
    std::string listing;
    for (const auto& [key, tensor] : tensors)
      listing += key + " " + shape_text(tensor.shape) + " " + std::string(name_of(tensor.dtype)) + "\n";
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(listing))), model["listing_sha256"].get<std::string>()) << text;
    for (const json& sample : model["samples"]) {
      const auto found = tensors.find(sample["name"].get<std::string>());
      ASSERT_NE(found, tensors.end()) << text << ": " << sample["name"];
      const SyntheticTensor& tensor = found->second;
      EXPECT_EQ(tensor.shape, sample["shape"].get<std::vector<std::int64_t>>()) << text << ": " << tensor.name;
      EXPECT_EQ(name_of(tensor.dtype), sample["dtype"].get<std::string>()) << text << ": " << tensor.name;
      std::vector<std::byte> all;
      for (const std::int64_t first : sample["first"]) {
        std::vector<std::byte> bytes(sample["count"].get<std::size_t>() * std::size_t(packing_of(tensor.dtype).bytes));
        synthesise(tensor, expected["seed"].get<std::uint64_t>(), first, bytes);
        all.insert(all.end(), bytes.begin(), bytes.end());
      }
      EXPECT_EQ(sha256_hex(all), sample["sha256"].get<std::string>()) << text << ": " << tensor.name;
    }
  }
}

TEST(Synthetic, IsACheckpointWhateverTheThreads) {
  for (const SyntheticFormat format :
       {SyntheticFormat::f32, SyntheticFormat::bf16, SyntheticFormat::q8_0, SyntheticFormat::q4_0}) {
    const Checkpoint one = synthetic_checkpoint(tiny(), format, "tiny", {.threads = 1}).value();
    const Checkpoint three = synthetic_checkpoint(tiny(), format, "tiny", {.threads = 3}).value();
    const Checkpoint other = synthetic_checkpoint(tiny(), format, "tiny", {.seed = 2}).value();
    for (const ExpectedTensor& expected : expected_tensors(one.plan)) {
      const Tensor a = one.tensor(expected.name).value(), b = three.tensor(expected.name).value();
      EXPECT_EQ(a.shape, expected.shape);
      ASSERT_EQ(a.bytes.size(), b.bytes.size());
      EXPECT_EQ(std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()), 0) << expected.name;
      EXPECT_EQ(std::uintptr_t(a.bytes.data()) % 64, 0U);
      const Tensor c = other.tensor(expected.name).value();
      if (a.bytes.size() > 4) {  // one byte of 64 values may well be the same
        EXPECT_NE(std::memcmp(a.bytes.data(), c.bytes.data(), a.bytes.size()), 0) << expected.name;
      }
    }
  }
}

TEST(Synthetic, MatricesHaveTheVarianceThatKeepsSumsNear1) {
  for (const SyntheticFormat format :
       {SyntheticFormat::f32, SyntheticFormat::bf16, SyntheticFormat::q8_0, SyntheticFormat::q4_0}) {
    const Checkpoint checkpoint = synthetic_checkpoint(tiny(), format, "tiny").value();
    for (const auto& [name, summed] : {std::pair("embed_tokens.weight", 256),
                                       {"embed_tokens_per_layer.weight", 128},
                                       {"layers.0.self_attn.q_proj.weight", 256},
                                       {"layers.1.self_attn.o_proj.weight", 128},
                                       {"layers.3.experts.down_proj", 32}}) {
      const std::vector<float> values = checkpoint.tensor(name)->floats().value();
      double sum = 0, squares = 0;
      for (const float value : values) sum += value, squares += double(value) * value;
      const double variance = squares / double(values.size());
      EXPECT_GT(variance * summed, 1.0 / 3) << name;
      EXPECT_LT(variance * summed, 3) << name;
      EXPECT_LT(std::abs(sum), 6 * std::sqrt(squares)) << name << ": six standard deviations of a sum around 0";
    }
    const std::vector<float> norm = checkpoint.tensor("layers.0.self_attn.q_norm.weight")->floats().value();
    EXPECT_GT(*std::min_element(norm.begin(), norm.end()), 0.18F);
    EXPECT_LT(*std::max_element(norm.begin(), norm.end()), 0.32F);
  }
}

TEST(Synthetic, NamesAreReadAndWritten) {
  EXPECT_EQ(SyntheticName::parse("e2b")->text(), "e2b:bf16");
  EXPECT_EQ(SyntheticName::parse("26b-a4b:q4_0")->text(), "26b-a4b:q4_0");
  EXPECT_EQ(SyntheticName::parse("31b:text")->text(), "31b:bf16:text");
  EXPECT_EQ(SyntheticName::parse("12b:f32:text")->text(), "12b:f32:text");
  for (const char* bad : {"", "e3b", "e2b:", "e2b:q5_0", "e2b:text:q4_0", "e2b:q4_0:text:text", ":q4_0"})
    EXPECT_FALSE(SyntheticName::parse(bad)) << bad;
  EXPECT_THAT(message_of(SyntheticName::parse("e3b")), HasSubstr("expected one of e2b, e4b, 12b, 26b-a4b, 31b"));
}

TEST(Synthetic, TheDigestIsOfAllThatDecidesTheNumbers) {
  const auto model = [](const char* name) { return synthetic_model(SyntheticName::parse(name).value()).value(); };
  const SyntheticModel first = model("e2b:q4_0:text");
  EXPECT_EQ(first.digest(1), model("e2b:q4_0:text").digest(1));
  EXPECT_NE(first.digest(1), first.digest(2));
  EXPECT_NE(first.digest(1), model("e2b:q8_0:text").digest(1));
  EXPECT_NE(first.digest(1), model("e2b:q4_0").digest(1)) << "towers";
  SyntheticModel bent = first;
  bent.tensors.back().exponent += 1;
  EXPECT_NE(first.digest(1), bent.digest(1));
  std::reverse(bent.tensors.begin(), bent.tensors.end());
  bent.tensors.front().exponent -= 1;
  EXPECT_EQ(first.digest(1), bent.digest(1)) << "the order decides nothing";
}

TEST(Synthetic, RefusesRowsThatAreNoWholeBlocks) {
  Config config = tiny();
  config.hidden_size = 128;
  EXPECT_THAT(message_of(synthetic_checkpoint(config, SyntheticFormat::q4_0, "tiny")),
              HasSubstr("embed_tokens.weight: expected Q6_K rows of a multiple of 256, found [40, 128]"));
  EXPECT_EQ(message_of(synthetic_checkpoint(config, SyntheticFormat::q8_0, "tiny")), "no failure");
}

class SyntheticCache : public ::testing::Test {
 protected:
  Result<Checkpoint> open(std::uint64_t seed = 1) const {
    return synthetic_checkpoint(tiny(), SyntheticFormat::q4_0, "tiny", {.seed = seed, .cache = folder_ / "cache"});
  }
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) found.push_back(entry.path());
    return found;
  }
  /// Whether a checkpoint's bytes are those of one made in memory.
  static void expect_right(const Result<Checkpoint>& checkpoint) {
    ASSERT_TRUE(checkpoint) << message_of(checkpoint);
    const Checkpoint plain = synthetic_checkpoint(tiny(), SyntheticFormat::q4_0, "tiny").value();
    for (const auto& [name, tensor] : plain.tensors)
      EXPECT_EQ(std::memcmp(tensor.bytes.data(), checkpoint->tensor(name)->bytes.data(), tensor.bytes.size()), 0)
          << name;
  }
  Temporary folder_;
};

TEST_F(SyntheticCache, KeepsOneFileAndMapsIt) {
  expect_right(open());
  ASSERT_EQ(files().size(), 1U);
  const auto written = std::filesystem::last_write_time(files()[0]);
  expect_right(open());
  EXPECT_EQ(std::filesystem::last_write_time(files()[0]), written);
  ASSERT_TRUE(open(2));
  EXPECT_EQ(files().size(), 2U) << "another seed is another file";
}

TEST_F(SyntheticCache, WritesAnewWhatWasCutShortOrChanged) {
  expect_right(open());
  const std::filesystem::path file = files()[0];
  const std::string whole = bytes_of(file);
  put(file, whole.substr(0, whole.size() - 100));
  expect_right(open());
  EXPECT_EQ(bytes_of(file), whole);
  for (const std::size_t at : {std::size_t{0}, whole.size() - 1}) {
    std::string changed = whole;
    changed[at] = char(changed[at] ^ 1);
    put(file, changed);
    expect_right(open());
    EXPECT_EQ(bytes_of(file), whole) << at;
  }
}

TEST_F(SyntheticCache, TakesOverWhatAKilledWriterLeft) {
  expect_right(open());
  const std::filesystem::path file = files()[0];
  const std::string whole = bytes_of(file);
  put(file.string() + ".part", "a writer that was killed");
  std::filesystem::remove(file);
  expect_right(open());
  EXPECT_EQ(files(), std::vector{file});
  put(file.string() + ".part", whole + whole);
  std::filesystem::remove(file);
  expect_right(open());
  EXPECT_EQ(files(), std::vector{file});
  EXPECT_EQ(bytes_of(file), whole);
}

TEST_F(SyntheticCache, WritersWaitForOneAnother) {
  std::vector<std::optional<Result<Checkpoint>>> opened(4);
  std::vector<std::jthread> writers;
  writers.reserve(opened.size());
  for (auto& one : opened) writers.emplace_back([&] { one = open(); });
  writers.clear();
  for (const auto& one : opened) expect_right(*one);
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(SyntheticCache, LeavesNothingWhereThereIsNoRoom) {
  const rlimit none{.rlim_cur = 1 << 12, .rlim_max = RLIM_INFINITY};
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const auto refused = open();
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Failure::io);
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(SyntheticCache, SaysThatItCannotWrite) {
  put(folder_ / "cache", "a file where a folder should be");
  const auto refused = open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Failure::io);
}

}  // namespace
}  // namespace assay
