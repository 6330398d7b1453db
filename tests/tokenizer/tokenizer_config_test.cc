// What tokenizer_config.json beside a tokenizer changes. Expected ids are those of transformers 5.22.2.
#include <gmock/gmock.h>

#include "small.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

/// The small tokenizer in a folder with a configuration.
Result<Tokenizer> configured(const std::string& config, const json& file = small_tokenizer()) {
  const Temporary folder;
  put(folder / "tokenizer.json", file.dump());
  put(folder / "tokenizer_config.json", config);
  return Tokenizer::open(folder.path());
}

std::string message_for(const std::string& config) {
  const auto tokenizer = configured(config);
  return tokenizer ? "no failure" : tokenizer.error().message();
}

TEST(TokenizerConfig, AddsTheNamedTokensThatAreNewInOrder) {
  const auto tokenizer = configured(R"({"tokenizer_class": "GemmaTokenizer", "image_token": "<|image|>",
      "audio_token": "<|audio|>", "extra_special_tokens": ["<|video|>"]})");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  // <mask> first: GemmaTokenizer's own default, which the file lacks.
  EXPECT_EQ(ids_of(*tokenizer, "<mask><|image|><|audio|><|video|>"), "16 17 18 19");
  EXPECT_EQ(tokenizer->size(), 20);
  for (const int id : {16, 17, 18, 19}) EXPECT_TRUE(tokenizer->is_special(id)) << id;
}

TEST(TokenizerConfig, OnlyGemmaTokenizerBringsItsOwnSettings) {
  json file = small_tokenizer();
  file["model"]["ignore_merges"] = true;
  file["model"]["byte_fallback"] = false;
  const auto gemma = configured(R"({"tokenizer_class": "GemmaTokenizer"})", file);
  ASSERT_TRUE(gemma);
  EXPECT_EQ(ids_of(*gemma, "abc"), "7 11");
  EXPECT_EQ(ids_of(*gemma, "\u00E9"), "14 15");
  const auto other = configured(R"({"tokenizer_class": "TokenizersBackend"})", file);
  ASSERT_TRUE(other);
  EXPECT_EQ(ids_of(*other, "abc"), "12");
  EXPECT_EQ(ids_of(*other, "\u00E9"), "3");
}

TEST(TokenizerConfig, ItsAddedTokensReplaceTheFiles) {
  const auto tokenizer = configured(R"({"tokenizer_class": "GemmaTokenizer", "mask_token": null,
      "added_tokens_decoder": {"2": {"content": "<bos>", "special": true}}})");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  EXPECT_EQ(ids_of(*tokenizer, "<bos>\n\n\n"), "2 4 5") << "by merges now: no added token is left for newlines";
  EXPECT_EQ(tokenizer->size(), 16);
}

TEST(TokenizerConfig, NamesTheSpecialIds) {
  const auto tokenizer = configured(R"({"tokenizer_class": "GemmaTokenizer", "bos_token": "ab", "pad_token": null})");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  EXPECT_EQ(tokenizer->bos(), 10);
  EXPECT_EQ(tokenizer->eos(), 1);
  EXPECT_EQ(tokenizer->pad(), std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(10));
}

TEST(TokenizerConfig, RefusesWhatItCannotFollow) {
  EXPECT_THAT(message_for("["), HasSubstr("tokenizer_config.json"));
  EXPECT_THAT(message_for(R"({"bos_token": 3})"), HasSubstr("bos_token: expected a token, found number"));
  EXPECT_THAT(message_for(R"({"bos_token": {"lstrip": true}})"), HasSubstr("bos_token.content: expected a string"));
  EXPECT_THAT(message_for(R"({"split_special_tokens": true})"), HasSubstr("split_special_tokens: expected false"));
  EXPECT_THAT(message_for(R"({"add_bos_token": "yes"})"), HasSubstr("add_bos_token: expected true or false"));
  EXPECT_THAT(message_for(R"({"extra_special_tokens": 3})"), HasSubstr("extra_special_tokens: expected an array"));
  EXPECT_THAT(message_for(R"({"extra_special_tokens": ["a", 3]})"), HasSubstr("extra_special_tokens[1]"));
  EXPECT_THAT(message_for(R"({"added_tokens_decoder": []})"), HasSubstr("added_tokens_decoder: expected an object"));
  EXPECT_THAT(message_for(R"({"added_tokens_decoder": {"x": {"content": "a"}}})"), HasSubstr("an id below 10^9"));
  EXPECT_THAT(message_for(R"({"added_tokens_decoder": {"1": {"content": "a", "single_word": true}}})"),
              HasSubstr("single_word: expected false"));
}

}  // namespace
}  // namespace assay
