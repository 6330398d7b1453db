// A tokenizer.json small enough to read, with Gemma's pipeline, which tests bend one field at a time.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "model/tokenizer/tokenizer.h"
#include "temporary.h"

namespace assay {

inline nlohmann::json added_token(int id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

/// Ids 0 to 3 are <pad> <eos> <bos> <unk>; then letters, their merges, and the bytes of an e with an acute accent.
inline nlohmann::json small_tokenizer() {
  // "b c" before "a b": abc becomes a, bc, then nothing joins; by length or by score it would be one token.
  static const nlohmann::json kSmall = nlohmann::json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "pre_tokenizer":
      {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
    "post_processor": null,
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {
      "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
      "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
      "vocab": {"<pad>": 0, "<eos>": 1, "<bos>": 2, "<unk>": 3, "\n\n": 4, "\n": 5, "\u2581": 6, "a": 7, "b": 8,
                "c": 9, "ab": 10, "bc": 11, "abc": 12, "\u2581a": 13, "<0xC3>": 14, "<0xA9>": 15},
      "merges": [["b", "c"], ["a", "b"], ["ab", "c"], ["\u2581", "a"], ["\n", "\n"]]}})");
  nlohmann::json file = kSmall;
  for (const auto& [id, content] : {std::pair{0, "<pad>"}, std::pair{1, "<eos>"}, std::pair{2, "<bos>"},
                                    std::pair{3, "<unk>"}, std::pair{4, "\n\n"}})
    file["added_tokens"].push_back(added_token(id, content, id < 4));
  return file;
}

/// The same as a file. It is gone when the object is.
class SmallTokenizer {
 public:
  explicit SmallTokenizer(const nlohmann::json& file = small_tokenizer()) : path_(directory_ / "tokenizer.json") {
    put(path_, file.dump());
  }
  Result<Tokenizer> open() const { return Tokenizer::open(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  Temporary directory_;
  std::filesystem::path path_;
};

/// The ids, or a failure's message: reads well in a matcher's message.
inline std::string ids_of(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  const auto ids = tokenizer.encode(text, options);
  if (!ids) return ids.error().message();
  std::string shown;
  for (const std::int64_t id : *ids) shown += (shown.empty() ? "" : " ") + std::to_string(id);
  return shown;
}

}  // namespace assay
