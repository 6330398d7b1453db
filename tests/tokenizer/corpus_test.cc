// The committed corpus: what transformers made of each text with the committed tokenizer
// (golden/generate/tokenizer_cases.py).
#include <cstring>

#include <gmock/gmock.h>

#include "base/sha256.h"
#include "small.h"

namespace assay {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int64_t>;

std::filesystem::path data(const std::string& name = "") {
  return std::filesystem::path(ASSAY_SOURCE_DIR) / "tests" / "data" / "tokenizer" / name;
}

const json& cases() {
  static const json kCases = json::parse(bytes_of(data("cases.json")));
  return kCases;
}

std::string unhex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

Tokenizer opened(const std::filesystem::path& path) {
  auto tokenizer = Tokenizer::open(path);
  if (!tokenizer) throw std::runtime_error(tokenizer.error().message());
  return *tokenizer;
}

/// A folder with tokenizer.model and no tokenizer.json, its configuration bent by `bend`.
template <class Bend>
Tokenizer from_model(const Bend& bend) {
  const Temporary folder;
  std::filesystem::copy_file(data("tokenizer.model"), folder / "tokenizer.model");
  json config = json::parse(bytes_of(data("tokenizer_config.json")));
  bend(config);
  put(folder / "tokenizer_config.json", config.dump());
  return opened(folder.path());
}

Ids ids_in(const json& row, const char* key) { return row.at(key).get<Ids>(); }

TEST(Corpus, EveryTextHasTransformersIds) {
  const Tokenizer tokenizer = opened(data());
  for (const json& row : cases()["texts"]) {
    const std::string text = unhex(row["hex"]);
    EXPECT_EQ(tokenizer.encode(text), ids_in(row, "ids")) << row["name"] << ": " << row["what"];
    EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), ids_in(row, "plain")) << row["name"];
  }
}

TEST(Corpus, EveryTextDecodesAsTransformersDoes) {
  const Tokenizer tokenizer = opened(data());
  for (const char* list : {"texts", "decoded"})
    for (const json& row : cases()[list]) {
      const Ids ids = ids_in(row, "ids");
      EXPECT_EQ(tokenizer.decode(ids), row["decoded"].get<std::string>()) << row["name"] << ": " << row["what"];
      EXPECT_EQ(tokenizer.decode(ids, true), row["skipped"].get<std::string>()) << row["name"];
      for (const bool skip : {false, true}) {
        StreamDecoder stream(tokenizer, skip);
        std::string joined;
        for (const std::int64_t id : ids) joined += stream.push(id);
        EXPECT_EQ(joined + stream.finish(), tokenizer.decode(ids, skip)) << row["name"];
      }
    }
}

TEST(Corpus, TheFileAloneGivesTheSameIds) {
  const Tokenizer tokenizer = opened(data("tokenizer.json"));
  for (const json& row : cases()["texts"])
    EXPECT_EQ(tokenizer.encode(unhex(row["hex"])), ids_in(row, "ids")) << row["name"];
}

TEST(Corpus, TheSentencepieceFileGivesTransformersIds) {
  // extra_special_tokens in the configuration keeps transformers from adding the model's own newline runs.
  const Tokenizer tokenizer = from_model([](const json&) {});
  for (const json& row : cases()["texts"])
    EXPECT_EQ(tokenizer.encode(unhex(row["hex"])), ids_in(row, row.contains("model_ids") ? "model_ids" : "ids"))
        << row["name"];
}

TEST(Corpus, TheSentencepieceFileWithItsOwnPiecesAddedAndBosFirst) {
  const Tokenizer tokenizer = from_model([](json& config) {
    config.erase("extra_special_tokens");
    config["add_bos_token"] = true;
  });
  for (const json& row : cases()["texts"])
    EXPECT_EQ(tokenizer.encode(unhex(row["hex"])), ids_in(row, "model_bos_ids")) << row["name"];
}

TEST(Corpus, TheCasesTellTheFilesApart) {
  // Else the tests above would not see that the two kinds of file are read alike.
  int differ = 0;
  for (const json& row : cases()["texts"]) differ += row.contains("model_ids");
  EXPECT_GT(differ, 0);
}

TEST(Corpus, InvalidTextIsRefusedWhereAsked) {
  const Tokenizer tokenizer = opened(data());
  int refused = 0;
  for (const json& row : cases()["texts"]) {
    const auto ids = tokenizer.encode(unhex(row["hex"]), {.strict = true});
    const std::string name = row["name"];
    EXPECT_EQ(bool(ids), !name.starts_with("invalid") && name != "latin1") << name;
    refused += !ids;
  }
  EXPECT_EQ(refused, 7);
}

TEST(Corpus, NamesAndSizesAreTransformers) {
  const Tokenizer tokenizer = opened(data());
  const json& facts = cases()["facts"];
  EXPECT_EQ(tokenizer.size(), facts["size"].get<std::int64_t>());
  EXPECT_EQ(tokenizer.bos(), facts["bos"].get<std::int64_t>());
  EXPECT_EQ(tokenizer.eos(), facts["eos"].get<std::int64_t>());
  EXPECT_EQ(tokenizer.pad(), facts["pad"].get<std::int64_t>());
  EXPECT_EQ(tokenizer.unk(), facts["unk"].get<std::int64_t>());
  Ids special;
  for (std::int64_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.is_special(id)) special.push_back(id);
    EXPECT_EQ(tokenizer.id_of(tokenizer.token_of(id).value_or("none")), id);
  }
  EXPECT_EQ(special, ids_in(facts, "special"));
}

/// The text of tokenizer_corpus.py's long_text(kind).
std::string long_text(const std::string& kind) {
  std::string text;
  if (kind == "run") {
    for (int i = 0; i < (1 << 20) / 6; ++i) text += "ansthe";
    return text;
  }
  const auto words = cases()["words"].get<std::vector<std::string>>();
  std::uint64_t state = 1;
  for (std::size_t size = 0; size < 1U << 20U;) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::string& word = words[(state >> 33U) % words.size()];
    text += (text.empty() ? "" : " ") + word;
    size += word.size() + 1;
  }
  return text;
}

TEST(Corpus, AMebibyteWithoutANewline) {
  const Tokenizer tokenizer = opened(data());
  for (const json& row : cases()["long"]) {
    const std::string text = long_text(row["kind"]);
    ASSERT_EQ(text.size(), row["bytes"].get<std::size_t>());
    const auto ids = tokenizer.encode(text);
    ASSERT_TRUE(ids);
    EXPECT_EQ(ids->size(), row["count"].get<std::size_t>()) << row["kind"];
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(*ids))), row["sha256"].get<std::string>()) << row["kind"];
    EXPECT_EQ(tokenizer.decode(*ids), text) << row["kind"];
  }
}

}  // namespace
}  // namespace assay
