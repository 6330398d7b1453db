// A committed golden's checkpoint made askable: its weights, and a tokenizer with a token for each of its 131 ids, so
// that what transformers generated from ids can be asked for in text. Not here: what transformers generated (the
// golden).
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "temporary.h"

namespace assay {

class TinyModel {
 public:
  static constexpr int kVocab = 131;

  TinyModel() {
    const std::filesystem::path source = ASSAY_SOURCE_DIR "/golden/data/e2b-tails/checkpoint";
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::create_symlink(source / name, folder_ / name);
    using nlohmann::json;
    json added = json::array(), vocab = json::object();
    for (int id = 0; id < kVocab; ++id) {
      vocab[token(id)] = id;
      if (special(id))
        added.push_back({{"id", id},
                         {"content", token(id)},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
    }
    const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
    const json back = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
    const json split = {
        {"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}};
    const json decoders = {back, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
    const json model = {{"type", "BPE"},          {"dropout", nullptr},
                        {"unk_token", "<unk>"},   {"continuing_subword_prefix", nullptr},
                        {"fuse_unk", true},       {"end_of_word_suffix", nullptr},
                        {"vocab", vocab},         {"byte_fallback", true},
                        {"ignore_merges", false}, {"merges", json::array()}};
    const json file = {{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", added},
                       {"normalizer", replace},
                       {"pre_tokenizer", split},
                       {"post_processor", nullptr},
                       {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
                       {"model", model}};
    put(folder_ / "tokenizer.json", file.dump());
    const json names = {{"tokenizer_class", "GemmaTokenizer"},
                        {"pad_token", "<pad>"},
                        {"eos_token", "<eos>"},
                        {"bos_token", "<bos>"},
                        {"unk_token", "<unk>"}};
    put(folder_ / "tokenizer_config.json", names.dump());
    generation(R"({"eos_token_id": null})");  // goldens generate without stop tokens
  }

  void generation(const std::string& json) const { put(folder_ / "generation_config.json", json); }
  /// The template of golden/generate/templates, with which conversations are rendered.
  void add_template() const {
    put(folder_ / "chat_template.jinja", bytes_of(ASSAY_SOURCE_DIR "/golden/generate/templates/e.jinja"));
  }
  const std::filesystem::path& path() const { return folder_.path(); }

  /// The text whose ids these are.
  static std::string text(std::span<const std::int64_t> ids) {
    std::string out;
    for (const std::int64_t id : ids) out += token(int(id)) == "\u2581" ? " " : token(int(id));
    return out;
  }

 private:
  static bool special(int id) { return id < 6 || (id >= 122 && id <= 128); }
  static std::string token(int id) {
    static const char* const kFirst[] = {"<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "\u2581"};
    static const char* const kMedia[] = {"<|image|>", "<|audio|>", "<|video|>", "<|image>",
                                         "<image|>",  "<|audio>",  "<audio|>"};
    if (id < 7) return kFirst[id];
    if (id <= 100) return {char(26 + id)};  // ! to ~
    if (id == 101) return "\n";
    if (id >= 122 && id <= 128) return kMedia[id - 122];
    return {char(0xC4), char(0x80 + id - 102)};  // U+0100 and on
  }

  Temporary folder_;
};

}  // namespace assay
