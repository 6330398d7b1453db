#include <gmock/gmock.h>

#include "small.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string opening(const json& file) {
  const SmallTokenizer small(file);
  const auto tokenizer = small.open();
  return tokenizer ? "no failure" : tokenizer.error().message();
}

/// The small file with the value at `pointer` replaced.
json with(const std::string& pointer, const json& value) {
  json file = small_tokenizer();
  file[json::json_pointer(pointer)] = value;
  return file;
}

TEST(TokenizerJson, MergesByRankNotByLength) {
  const SmallTokenizer small;
  const auto tokenizer = small.open();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  EXPECT_EQ(ids_of(*tokenizer, "abc"), "7 11");
  EXPECT_EQ(ids_of(*tokenizer, "ab"), "10");
  EXPECT_EQ(ids_of(*tokenizer, "abab abc"), "10 10 13 11");
  EXPECT_EQ(ids_of(*tokenizer, ""), "");
}

TEST(TokenizerJson, FallsBackToBytesThenToTheUnknownToken) {
  const SmallTokenizer small;
  const auto tokenizer = small.open();
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(ids_of(*tokenizer, "a\u00E9b"), "7 14 15 8");
  EXPECT_EQ(ids_of(*tokenizer, "axyzb"), "7 3 8") << "unknown characters in a row are one token";
  EXPECT_EQ(ids_of(*tokenizer,
                   "x\u00E9"
                   "a"),
            "14 15 3 7")
      << "tokenizers puts the bytes first";
  json file = with("/model/fuse_unk", false);
  EXPECT_EQ(ids_of(*SmallTokenizer(file).open(), "axyzb"), "7 3 3 3 8");
  file["model"]["unk_token"] = nullptr;
  EXPECT_EQ(ids_of(*SmallTokenizer(file).open(), "axyzb"), "10");
  file["model"]["byte_fallback"] = false;
  EXPECT_EQ(ids_of(*SmallTokenizer(file).open(), "a\u00E9"), "7");
  file["model"]["unk_token"] = "<nowhere>";
  EXPECT_EQ(ids_of(*SmallTokenizer(file).open(), "ax"),
            "tokenizer: unk_token: expected a token of the vocabulary, found <nowhere>");
}

TEST(TokenizerJson, TakesTheWholePieceWhereMergesAreIgnored) {
  EXPECT_EQ(ids_of(*SmallTokenizer(with("/model/ignore_merges", true)).open(), "abc"), "12");
}

TEST(TokenizerJson, CutsOutAddedTokensLongestFirst) {
  json file = small_tokenizer();
  file["added_tokens"].push_back(added_token(16, "<bos><bos>", true));
  const SmallTokenizer small(file);
  const auto tokenizer = small.open();
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->size(), 17);
  EXPECT_EQ(ids_of(*tokenizer, "a<bos>b\n\n\nc"), "7 2 8 4 5 9");
  EXPECT_EQ(ids_of(*tokenizer, "<bos><bos><bos>"), "16 2");
  EXPECT_EQ(tokenizer->id_of("<bos><bos>"), 16);
  EXPECT_EQ(tokenizer->token_of(16), "<bos><bos>");
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_FALSE(tokenizer->is_special(4));
  EXPECT_EQ(tokenizer->token_of(17), std::nullopt);
  EXPECT_EQ(tokenizer->token_of(-1), std::nullopt);
}

TEST(TokenizerJson, StripsAndNormalisesWhereATokenSaysSo) {
  json file = small_tokenizer();
  json strips = added_token(16, "<x>", true);
  strips["lstrip"] = strips["rstrip"] = true;
  json normal = added_token(17, "a b", false);
  normal["normalized"] = true;
  file["added_tokens"].push_back(strips);
  file["added_tokens"].push_back(normal);
  const auto tokenizer = SmallTokenizer(file).open();
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(ids_of(*tokenizer, "a \u3000<x>\n b"), "7 16 8");
  EXPECT_EQ(ids_of(*tokenizer,
                   "a ba\u2581"
                   "b"),
            "17 17")
      << "found after spaces are marked";
  EXPECT_EQ(tokenizer->decode(std::vector<std::int64_t>{17}), "a b");
}

TEST(TokenizerJson, PutsAroundATextWhatThePostProcessorSays) {
  json file = small_tokenizer();
  file["post_processor"] = json::parse(R"({"type": "TemplateProcessing", "pair": [], "single": [
    {"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
    {"SpecialToken": {"id": "<eos>", "type_id": 0}}], "special_tokens": {
    "<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]},
    "<eos>": {"id": "<eos>", "ids": [1], "tokens": ["<eos>"]}}})");
  const auto tokenizer = SmallTokenizer(file).open();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message();
  EXPECT_EQ(ids_of(*tokenizer, "a"), "2 7 1");
  EXPECT_EQ(ids_of(*tokenizer, ""), "2 1");
  EXPECT_EQ(ids_of(*tokenizer, "a", {.add_special = false}), "7");
}

TEST(TokenizerJson, TakesMergesAsLinesToo) {
  const json lines = json::array({"#version: 0.2", "b c", "a b", "ab c", "\u2581 a"});
  EXPECT_EQ(ids_of(*SmallTokenizer(with("/model/merges", lines)).open(), "abc ab"), "7 11 6 10");
}

TEST(TokenizerJson, DecodesBytesAsTextOnlyWhereTheWholeRunIsText) {
  const SmallTokenizer small;
  const auto tokenizer = small.open();
  ASSERT_TRUE(tokenizer);
  const auto decode = [&](std::vector<std::int64_t> ids, bool skip = false) { return tokenizer->decode(ids, skip); };
  EXPECT_EQ(decode({14, 15}), "\u00E9");
  EXPECT_EQ(decode({14, 15, 14}), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decode({14, 7, 15}), "\uFFFDa\uFFFD");
  EXPECT_EQ(decode({14, 2, 15}), "\uFFFD<bos>\uFFFD");
  EXPECT_EQ(decode({14, 2, 15}, true), "\u00E9") << "a token left out does not end the run";
  EXPECT_EQ(decode({14, 999, -3, 15}), "\u00E9") << "nor does an id that is no token";
  EXPECT_EQ(decode({6, 13, 4}), "  a\n\n");
}

TEST(TokenizerJson, StreamsWhatLaterIdsCannotChange) {
  const SmallTokenizer small;
  const auto tokenizer = small.open();
  ASSERT_TRUE(tokenizer);
  StreamDecoder stream(*tokenizer, true);
  EXPECT_EQ(stream.push(7), "a");
  EXPECT_EQ(stream.push(14), "");
  EXPECT_EQ(stream.push(2), "");
  EXPECT_EQ(stream.push(15), "");
  EXPECT_EQ(stream.push(8),
            "\u00E9"
            "b");
  EXPECT_EQ(stream.push(14), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TokenizerJson, ReplacesInvalidUtf8OrRefusesIt) {
  json file = small_tokenizer();
  file["model"]["vocab"]["\uFFFD"] = 16;
  const auto tokenizer = SmallTokenizer(file).open();
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(ids_of(*tokenizer,
                   "a\xF0\x9F"
                   "b\xED\xA0\x80"),
            "7 16 8 16 16 16");
  EXPECT_EQ(ids_of(*tokenizer,
                   "a\xF0\x9F"
                   "b",
                   {.strict = true}),
            "text: byte 1: expected UTF-8, found an invalid sequence");
  EXPECT_EQ(ids_of(*tokenizer, "ab", {.strict = true}), "10");
}

TEST(TokenizerJson, RefusesOtherPipelines) {
  const json sequence = json::parse(R"({"type": "Sequence", "normalizers": [{"type": "NFC"}]})");
  EXPECT_THAT(opening(with("/normalizer", sequence)), HasSubstr("normalizer: expected Gemma's"));
  EXPECT_THAT(opening(with("/normalizer", nullptr)), HasSubstr("normalizer: expected Gemma's"));
  EXPECT_THAT(opening(with("/pre_tokenizer", {{"type", "ByteLevel"}})), HasSubstr("pre_tokenizer: expected Gemma's"));
  EXPECT_THAT(opening(with("/pre_tokenizer/invert", true)), HasSubstr("pre_tokenizer: expected Gemma's"));
  EXPECT_THAT(opening(with("/decoder", {{"type", "ByteLevel"}})), HasSubstr("decoder: expected Gemma's"));
  EXPECT_THAT(opening(with("/decoder/decoders/1", {{"type", "Strip"}})), HasSubstr("decoder: expected Gemma's"));
  EXPECT_THAT(opening(with("/post_processor", {{"type", "ByteLevel"}})), HasSubstr("post_processor: expected none"));
  EXPECT_THAT(opening(with("/model/type", "Unigram")), HasSubstr("model.type: expected \"BPE\", found \"Unigram\""));
  EXPECT_THAT(opening(with("/model/dropout", 0.1)), HasSubstr("model.dropout: expected none"));
  EXPECT_THAT(opening(with("/model/end_of_word_suffix", "</w>")), HasSubstr("model.end_of_word_suffix"));
  EXPECT_THAT(opening(with("/added_tokens/0/single_word", true)), HasSubstr("added_tokens[0].single_word"));
  EXPECT_THAT(opening(with("/version", "2.0")), HasSubstr("version: expected \"1.0\""));
}

TEST(TokenizerJson, TakesOtherSpellingsOfGemmasPipeline) {
  EXPECT_EQ(opening(with("/pre_tokenizer", nullptr)), "no failure");
  const json replace = small_tokenizer()["normalizer"];
  EXPECT_EQ(opening(with("/normalizer", {{"type", "Sequence"}, {"normalizers", json::array({replace})}})),
            "no failure");
}

TEST(TokenizerJson, RefusesTablesThatContradictThemselves) {
  EXPECT_THAT(opening(with("/model/vocab/a", 8)), HasSubstr("model.vocab: expected each id once, found id 8"));
  EXPECT_THAT(opening(with("/model/vocab/a", 1 << 20)),
              HasSubstr("model.vocab: expected ids below 65600 for 16 tokens"));
  EXPECT_THAT(opening(with("/model/vocab/a", 1ULL << 40)), HasSubstr("model.vocab[\"a\"]: expected an id below 2^31"));
  EXPECT_THAT(opening(with("/model/vocab/a", -1)), HasSubstr("model.vocab[\"a\"]: expected an id, found -1"));
  EXPECT_THAT(opening(with("/model/vocab/a", "7")), HasSubstr("model.vocab[\"a\"]: expected an id, found a string"));
  EXPECT_THAT(opening(with("/model/vocab/a", json::array())), HasSubstr("model.vocab[\"a\"]: expected an id"));
  EXPECT_THAT(opening(with("/model/vocab", json::object())), HasSubstr("model.vocab: expected an object of tokens"));
  EXPECT_THAT(opening(with("/model/vocab", nullptr)), HasSubstr("model.vocab: expected an object of tokens"));
  EXPECT_THAT(opening(with("/model/merges", nullptr)), HasSubstr("model.merges: expected an array"));
  EXPECT_THAT(
      opening(with("/model/merges/1", json::array({"a", "c"}))),
      HasSubstr("model.merges[1]: expected two tokens of the vocabulary that join into a third, found \"a\" and"));
  EXPECT_THAT(opening(with("/model/merges/1", json::array({"a", "b", "c"}))),
              HasSubstr("model.merges[1]: expected two tokens"));
  EXPECT_THAT(opening(with("/model/merges/1", json::array({"a"}))),
              HasSubstr("model.merges[1]: expected two tokens, found fewer"));
  EXPECT_THAT(opening(with("/model/merges/1", "a b")), HasSubstr("model.merges[1]: expected an array, as before it"));
  EXPECT_THAT(opening(with("/model/merges/1", 3)),
              HasSubstr("model.merges[1]: expected a merge of two tokens, found 3"));
  EXPECT_THAT(opening(with("/added_tokens/0/id", -1)), HasSubstr("added_tokens[0].id: expected an id below 2^31"));
  EXPECT_THAT(opening(with("/added_tokens/0/content", 1)), HasSubstr("added_tokens[0].content: expected a string"));
  EXPECT_THAT(opening(with("/added_tokens/0/content", std::string(5000, 'x'))), HasSubstr("at most 4096 bytes"));
  EXPECT_THAT(opening(with("/model", 1)), HasSubstr("model: expected an object"));
}

TEST(TokenizerJson, RefusesWhatIsNotJson) {
  const Temporary directory;
  const auto path = directory / "tokenizer.json";
  const auto message = [&](const std::string& bytes) {
    put(path, bytes);
    const auto tokenizer = Tokenizer::open(path);
    return tokenizer ? "no failure" : tokenizer.error().message();
  };
  EXPECT_THAT(message(""), HasSubstr("JSON"));
  EXPECT_THAT(message("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message("3"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(message("{\"model\":{\"vocab\":{\"a\":1,\"a\":2}}}"),
              HasSubstr("model.vocab[\"a\"]: expected each token once"));
  EXPECT_THAT(message("{\"model\":{\"vocab\":{\"a\":1},\"vocab\":{}}}"), HasSubstr("model.vocab: expected it once"));
  EXPECT_THAT(message("{\"a\":1,\"a\":2}"), HasSubstr("a: expected each key once"));
  EXPECT_THAT(message(std::string(100000, '[')), HasSubstr("JSON"));
  EXPECT_THAT(message("{\"a\":" + std::string(100000, '[')), HasSubstr("at most 64 levels"));
  EXPECT_THAT(message("{\"a\":\"\xFF\"}"), HasSubstr("JSON"));
  EXPECT_THAT(message(std::string("{}\0{", 4)), HasSubstr("a zero byte"));
  EXPECT_THAT(message(small_tokenizer().dump().substr(0, 500)), HasSubstr("JSON"));
}

TEST(TokenizerJson, NamesTheDirectoryThatHoldsNone) {
  const Temporary directory;
  const auto tokenizer = Tokenizer::open(directory.path());
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error().message(), HasSubstr("expected tokenizer.json or tokenizer.model, found neither"));
}

}  // namespace
}  // namespace assay
