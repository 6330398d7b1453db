#include "model/generation_config.h"

#include <gmock/gmock.h>

#include "temporary.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(GenerationConfig, ReadsWhatGemma4IsPublishedWith) {
  const auto config = parse_generation_config(
      R"({"bos_token_id": 2, "do_sample": true, "eos_token_id": [1, 106, 50], "pad_token_id": 0, "temperature": 1.0,
          "top_k": 64, "top_p": 0.95, "suppress_tokens": [258883, 258882], "transformers_version": "5.5.0.dev0"})",
      "g");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_TRUE(config->do_sample);
  EXPECT_EQ(config->temperature, 1.0);
  EXPECT_EQ(config->top_k, 64);
  EXPECT_EQ(config->top_p, 0.95);
  EXPECT_THAT(config->stop_ids, ElementsAre(1, 106, 50));
  EXPECT_THAT(config->suppress_ids, ElementsAre(258883, 258882));
  EXPECT_EQ(config->bos_id, 2);
  EXPECT_EQ(config->pad_id, 0);
  EXPECT_EQ(config->max_new_tokens, std::nullopt);
  EXPECT_THAT(config->unapplied, IsEmpty());
}

TEST(GenerationConfig, AnAbsentKeyAndNullHaveTransformersDefaults) {
  for (const char* text : {"{}", R"({"do_sample":null,"temperature":null,"top_k":null,"top_p":null,"eos_token_id":null,
                                     "suppress_tokens":null,"max_new_tokens":null})"}) {
    const auto config = parse_generation_config(text, "g");
    ASSERT_TRUE(config) << config.error().message();
    EXPECT_FALSE(config->do_sample);
    EXPECT_EQ(config->temperature, 1.0);
    EXPECT_EQ(config->top_k, 50);
    EXPECT_EQ(config->top_p, 1.0);
    EXPECT_THAT(config->stop_ids, IsEmpty());
    EXPECT_THAT(config->suppress_ids, IsEmpty());
    EXPECT_EQ(config->max_new_tokens, std::nullopt);
  }
}

TEST(GenerationConfig, OneStopTokenNeedsNoList) {
  const auto config = parse_generation_config(
      R"({"eos_token_id": 7, "max_new_tokens": 30, "max_length": 99, "num_assistant_tokens": 3})", "g");
  ASSERT_TRUE(config);
  EXPECT_THAT(config->stop_ids, ElementsAre(7));
  EXPECT_EQ(config->max_new_tokens, 30);
  EXPECT_EQ(config->assistant_tokens, 3);
  EXPECT_EQ(config->max_length, 99);
}

TEST(GenerationConfig, NamesWhatItDoesNotApply) {
  const auto config = parse_generation_config(
      R"({"repetition_penalty": 1.1, "min_p": 0.05, "num_beams": 1, "typical_p": 1.0, "no_repeat_ngram_size": 0})",
      "g");
  ASSERT_TRUE(config);
  EXPECT_THAT(config->unapplied, ElementsAre("min_p", "repetition_penalty"));
}

struct Bad {
  const char *text, *says;
};
class BadGenerationConfig : public testing::TestWithParam<Bad> {};
TEST_P(BadGenerationConfig, IsRefusedByName) {
  const auto config = parse_generation_config(GetParam().text, "x/generation_config.json");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, Failure::bad_input);
  EXPECT_THAT(config.error().message(), HasSubstr("x/generation_config.json"));
  EXPECT_THAT(config.error().message(), HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    All, BadGenerationConfig,
    testing::Values(
        Bad{"", "x"}, Bad{"[1]", "object"}, Bad{"{\"top_k\":1,\"top_k\":2}", "top_k"},
        Bad{R"({"temperature": 0})", "temperature: expected a number above 0, found 0"},
        Bad{R"({"temperature": -1.5})", "temperature"}, Bad{R"({"temperature": "hot"})", "found \"hot\""},
        Bad{R"({"temperature": true})", "temperature"}, Bad{R"({"top_k": -1})", "top_k"},
        Bad{R"({"top_k": 1.5})", "top_k"}, Bad{R"({"top_k": 99999999999})", "top_k"},
        Bad{R"({"top_p": 1.01})", "top_p: expected 0 to 1, found 1.01"}, Bad{R"({"top_p": -0.1})", "top_p"},
        Bad{R"({"do_sample": 1})", "do_sample: expected true or false"}, Bad{R"({"eos_token_id": -1})", "eos_token_id"},
        Bad{R"({"eos_token_id": [1, "x"]})", "eos_token_id"}, Bad{R"({"eos_token_id": [[1]]})", "eos_token_id"},
        Bad{R"({"eos_token_id": 18446744073709551615})", "eos_token_id"},
        Bad{R"({"suppress_tokens": {"a": 1}})", "suppress_tokens"}, Bad{R"({"pad_token_id": 1.0})", "pad_token_id"},
        Bad{R"({"max_new_tokens": 0})", "max_new_tokens: expected an integer of at least 1, found 0"},
        Bad{R"({"max_length": []})", "max_length"}));

TEST(GenerationConfig, IsReadFromTheCheckpoint) {
  const Temporary folder;
  put(folder / "generation_config.json", R"({"eos_token_id": [3, 4], "top_k": 9})");
  put(folder / "config.json", R"({"eos_token_id": 5})");
  const auto config = read_generation_config(folder.path());
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_THAT(config->stop_ids, ElementsAre(3, 4));
  EXPECT_EQ(config->top_k, 9);
}

TEST(GenerationConfig, WithoutTheFileConfigJsonSaysWhereToStop) {
  const Temporary folder;
  auto config = read_generation_config(folder.path());
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->do_sample);
  EXPECT_EQ(config->top_k, 64);
  EXPECT_EQ(config->top_p, 0.95);
  EXPECT_THAT(config->stop_ids, ElementsAre(1));
  EXPECT_EQ(config->bos_id, 2);
  put(folder / "config.json", R"({"text_config": {"eos_token_id": 5, "bos_token_id": 6}})");
  config = read_generation_config(folder.path());
  ASSERT_TRUE(config);
  EXPECT_THAT(config->stop_ids, ElementsAre(5));
  EXPECT_EQ(config->bos_id, 6);
  put(folder / "config.json", R"({"eos_token_id": [1, 106], "text_config": {"eos_token_id": 5}})");
  config = read_generation_config(folder.path());
  ASSERT_TRUE(config);
  EXPECT_THAT(config->stop_ids, ElementsAre(1, 106));
  put(folder / "config.json", R"({"eos_token_id": "end"})");
  EXPECT_FALSE(read_generation_config(folder.path()));
}

}  // namespace
}  // namespace assay
