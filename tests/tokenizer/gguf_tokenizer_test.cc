// The tokenizer in a GGUF as PyPI's gguf writes it from golden/data/tiny (golden/generate/gguf_cases.py): on every text
// of the committed corpus, the ids of the tokenizer.json that it was made from.
#include <cstring>

#include <gmock/gmock.h>

#include "gguf_entry.h"
#include "model/chat/chat_template.h"
#include "model/generation_config.h"
#include "model/gguf/gguf.h"
#include "small.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kFile = ASSAY_SOURCE_DIR "/tests/data/gguf/tiny.gguf";
const std::filesystem::path kFolder = ASSAY_SOURCE_DIR "/golden/data/tiny";

std::string unhex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

TEST(GgufTokenizer, GivesTheIdsOfTheTokenizerJsonItWasMadeFrom) {
  const Tokenizer ours = Tokenizer::open(kFile).value(), other = Tokenizer::open(kFolder).value();
  const json cases = json::parse(bytes_of(std::filesystem::path(ASSAY_SOURCE_DIR) / "tests/data/tokenizer/cases.json"));
  std::size_t ids = 0;
  for (const json& row : cases["texts"]) {
    const std::string text = unhex(row["hex"]);
    auto expected = other.encode(text, {.add_special = false}).value();
    EXPECT_EQ(ours.encode(text, {.add_special = false}).value(), expected) << row["name"];
    EXPECT_EQ(ours.decode(expected), other.decode(expected)) << row["name"];
    ids += expected.size();
    expected.insert(expected.begin(), 2);  // the converter asks for <bos>, which the tokenizer.json does not
    EXPECT_EQ(ours.encode(text).value(), expected) << row["name"];
  }
  EXPECT_GT(ids, 1000U);
  EXPECT_EQ(ours.size(), other.size());
  EXPECT_EQ(ours.bos(), other.bos());
  EXPECT_EQ(ours.eos(), other.eos());
  EXPECT_EQ(ours.pad(), other.pad());
  EXPECT_EQ(ours.unk(), other.unk());
  for (std::int64_t id = 0; id < ours.size(); ++id) {
    EXPECT_EQ(ours.token_of(id), other.token_of(id)) << id;
    const std::string token = ours.token_of(id).value();
    const bool shown = token.find("channel") != std::string::npos || token.find("tool_") != std::string::npos ||
                       token == "<|\"|>";  // as the converter wants them
    EXPECT_EQ(ours.is_special(id), other.is_special(id) && !shown) << token;
  }
}

TEST(GgufTokenizer, TheTemplateAndTheStopTokensComeWithIt) {
  const std::string messages = R"([{"role": "user", "content": "What is the capital of France?"}])";
  const auto ours = ChatTemplate::open(kFile), other = ChatTemplate::open(kFolder);
  ASSERT_TRUE(ours) << ours.error().message();
  EXPECT_EQ(ours->render(messages, "", {}).value(), other->render(messages, "", {}).value());
  const auto config = read_generation_config(kFile);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->stop_ids, ElementsAre(1, 6, 14)) << "<eos>, <turn|>, <|tool_response>";
  EXPECT_EQ(config->bos_id, 2);
  EXPECT_EQ(config->pad_id, 0);
  EXPECT_FALSE(config->do_sample);
}

/// The committed file with bytes replaced by as many others, the first time that they occur.
class Bent {
 public:
  Bent& replace(const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());
    const std::size_t at = bytes_.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    if (at != std::string::npos) bytes_.replace(at, to.size(), to);
    return *this;
  }
  /// A number behind a key. @param skip  bytes before it: 4 for a scalar, 16 for an array's first element
  template <class T>
  Bent& set(const std::string& key, T value, std::size_t skip = 4) {
    const std::size_t at = bytes_.find(key);
    EXPECT_NE(at, std::string::npos) << key;
    std::memcpy(bytes_.data() + at + key.size() + skip, &value, sizeof value);
    return *this;
  }
  /// One more entry of metadata, before all others.
  template <class... Parts>
  Bent& add(const std::string& key, GgufType type, Parts... parts) {
    add_gguf_entry(bytes_, key, type, parts...);
    return *this;
  }
  std::string message() const {
    const auto file = Gguf::parse(std::as_bytes(std::span(bytes_)), "file");
    if (!file) return file.error().message();
    const auto read = Tokenizer::from_gguf(*file);
    return read ? "no failure" : read.error().message();
  }
  Result<GenerationConfig> config() const {
    const Temporary folder;
    put(folder / "bent.gguf", bytes_);
    return read_generation_config(folder / "bent.gguf");
  }
  std::string generation() const {
    const auto read = config();
    return read ? "no failure" : read.error().message();
  }

 private:
  std::string bytes_ = bytes_of(kFile);
};

TEST(GgufTokenizer, RefusesWhatItWouldReadWrongly) {
  EXPECT_EQ(Bent().message(), "no failure");
  EXPECT_THAT(Bent().replace("tokenizer.ggml.model", "tokenizer.ggml.modem").message(),
              HasSubstr("file: tokenizer.ggml.model: expected a string, found none"));
  EXPECT_THAT(Bent().replace("tokenizer.ggml.tokens", "tokenizer.ggml.tokenz").message(),
              HasSubstr("tokenizer.ggml.tokens: expected a list of strings, found none"));
  EXPECT_THAT(Bent().replace("tokenizer.ggml.token_type", "tokenizer.ggml.token_tope").message(),
              HasSubstr("tokenizer.ggml.token_type: expected a list of integers, found none"));
  EXPECT_THAT(Bent().replace("tokenizer.ggml.merges", "tokenizer.ggml.mergez").message(),
              HasSubstr("tokenizer.ggml.merges: expected a list of merges, found none"));
  EXPECT_THAT(Bent().set("tokenizer.ggml.bos_token_id", std::uint32_t{100'000}).message(),
              HasSubstr("tokenizer.ggml.bos_token_id: expected an id below 704, found 100000"));
  EXPECT_THAT(Bent().set("tokenizer.ggml.add_space_prefix", true).message(),
              HasSubstr("tokenizer.ggml.add_space_prefix: expected false, found true"));
  EXPECT_THAT(Bent().replace("<|turn>", "<turn|>").message(),
              HasSubstr("tokenizer.ggml.tokens[6]: expected each token once"));
  EXPECT_THAT(Bent().replace("<|turn>", "<|tur\xff>").message(), HasSubstr("tokenizer.ggml.tokens[5]: expected UTF-8"));
}

TEST(GgufTokenizer, AMergeIsTwoTokensOfTheVocabulary) {
  const std::string key = "tokenizer.ggml.merges";
  const std::string bytes = bytes_of(kFile);
  const std::size_t first = bytes.find(key) + key.size() + 16;  // type, element, count
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data() + first, sizeof length);
  const std::string merge = bytes.substr(first, sizeof length + length);
  const std::size_t space = merge.find(' ', sizeof length);
  ASSERT_NE(space, std::string::npos);
  std::string without = merge, with = merge;
  without[space] = '-';
  with[sizeof length] = '\x01';
  EXPECT_THAT(Bent().replace(merge, without).message(), HasSubstr("merges[0]: expected two tokens with a space"));
  EXPECT_THAT(Bent().replace(merge, with).message(), HasSubstr("merges[0]"));
}

TEST(GgufTokenizer, StopTokensOutsideTheVocabularyAreRefused) {
  EXPECT_THAT(Bent().set("tokenizer.ggml.eos_token_id", std::uint32_t{704}).generation(),
              HasSubstr("tokenizer.ggml.eos_token_id: expected an id below 704, found 704"));
}

TEST(GgufTokenizer, SuppressedTokensComeWithIt) {  // the converter writes them for the unified models
  const std::uint32_t i32 = std::uint32_t(GgufType::i32);
  const auto config =
      Bent().add("tokenizer.ggml.suppress_tokens", GgufType::array, i32, std::uint64_t{3}, 19, 22, 100'000).config();
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->suppress_ids, ElementsAre(19, 22, 100'000));
  EXPECT_THAT(Bent().add("tokenizer.ggml.suppress_tokens", GgufType::u32, 19).generation(),
              HasSubstr("tokenizer.ggml.suppress_tokens: expected a list of token ids, found u32"));
  EXPECT_THAT(
      Bent()
          .add("tokenizer.ggml.suppress_tokens", GgufType::array, std::uint32_t(GgufType::f32), std::uint64_t{1}, 1.0F)
          .generation(),
      HasSubstr("tokenizer.ggml.suppress_tokens: expected a list of token ids, found array of 1 f32"));
}

TEST(GgufTokenizer, SamplingSettingsThatNothingAppliesAreNamed) {
  const auto config = Bent()
                          .add("general.sampling.min_p", GgufType::f32, 0.05F)
                          .add("general.sampling.penalty_repeat", GgufType::f32, 1.0F)
                          .add("general.sampling.mirostat", GgufType::i32, 2)
                          .add("general.sampling.xtc_probability", GgufType::f32, 0.0F)
                          .config();
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->unapplied, ElementsAre("general.sampling.min_p", "general.sampling.mirostat"));
}

TEST(GgufTokenizer, SamplingSettingsAreReadOrRefusedWithTheirValue) {
  const auto config = Bent()
                          .add("general.sampling.temp", GgufType::f32, 0.5F)
                          .add("general.sampling.top_k", GgufType::i32, 9)
                          .add("general.sampling.top_p", GgufType::f32, 0.25F)
                          .config();
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_TRUE(config->do_sample);
  EXPECT_EQ(config->temperature, 0.5);
  EXPECT_EQ(config->top_k, 9);
  EXPECT_EQ(config->top_p, 0.25);
  EXPECT_THAT(Bent().add("general.sampling.temp", GgufType::f32, -1.0F).generation(),
              HasSubstr("general.sampling.temp: expected a number of at least 0, found -1.0"));
  EXPECT_THAT(Bent().add("general.sampling.top_p", GgufType::f32, 1.5F).generation(),
              HasSubstr("general.sampling.top_p: expected 0 to 1, found 1.5"));
  EXPECT_THAT(Bent().add("general.sampling.top_p", GgufType::u32, 1).generation(),
              HasSubstr("general.sampling.top_p: expected 0 to 1, found u32"));
  EXPECT_THAT(Bent().add("general.sampling.top_k", GgufType::i32, -1).generation(),
              HasSubstr("general.sampling.top_k: expected an integer of at least 0, found -1"));
}

}  // namespace
}  // namespace assay
