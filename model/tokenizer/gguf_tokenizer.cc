#include "gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "model/gguf/gguf_tokens.h"
#include "utf8.h"

namespace assay {
namespace {

// gguf.TokenType
constexpr std::int64_t kUnknown = 2, kControl = 3, kUserDefined = 4;
constexpr std::string_view kKind = "tokenizer.ggml.model", kTypes = "tokenizer.ggml.token_type",
                           kMerges = "tokenizer.ggml.merges", kTokens = "tokenizer.ggml.tokens";

/// A key's value as `read` takes it. Errors: bad_input, naming what was expected.
template <class Read>
auto required(const Gguf& file, std::string_view key, const char* expected, Read read)
    -> Result<typename decltype(read(std::declval<const GgufValue&>()))::value_type> {
  const GgufValue* value = file.find(key);
  auto found = value == nullptr ? decltype(read(*value))() : read(*value);
  if (found) return std::move(*found);
  return fail(
      {Failure::bad_input, file.where(), std::string(key), expected, value == nullptr ? "none" : value->what()});
}

/// One white-space character over and over: 1 or more line feeds or tabs, 2 or more U+2581.
bool is_run(std::string_view text) {
  constexpr std::string_view kMark = "\xE2\x96\x81";
  for (const std::string_view unit : {std::string_view("\n"), std::string_view("\t"), kMark}) {
    std::size_t count = 0;
    for (std::string_view rest = text; rest.starts_with(unit); rest.remove_prefix(unit.size())) ++count;
    if (count * unit.size() == text.size() && count >= (unit == kMark ? 2U : 1U)) return true;
  }
  return false;
}

Result<bool> flag(const Gguf& file, const std::string& key, bool otherwise) {
  if (file.find(key) == nullptr) return otherwise;
  return required(file, key, "a boolean", [](const GgufValue& value) { return value.flag(); });
}

Result<void> check_kind(const Gguf& file) {
  ASSAY_TRY(kind, required(file, kKind, "a string", [](const GgufValue& value) { return value.text(); }));
  // Some writers call it llama and mean the same; llama with scores alone is sentencepiece's, where merges are missing.
  if (kind != "gemma4" && kind != "llama")
    return fail({Failure::unsupported, file.where(), std::string(kKind), "gemma4", std::string(kind.substr(0, 80))});
  if (file.find(kMerges) == nullptr)
    return fail({Failure::unsupported, file.where(), std::string(kMerges), "a list of merges", "none"});
  ASSAY_TRY(space, flag(file, "tokenizer.ggml.add_space_prefix", false));
  if (space) return fail({Failure::unsupported, file.where(), "tokenizer.ggml.add_space_prefix", "false", "true"});
  return {};
}

Result<void> add_tokens(const Gguf& file, const GgufTokens& tokens, TokenizerJson& into) {
  ASSAY_TRY(types,
            required(file, kTypes, "a list of integers", [](const GgufValue& value) { return value.integers(); }));
  if (types.size() != tokens.texts.size())
    return fail({Failure::bad_input, file.where(), std::string(kTypes),
                 std::to_string(tokens.texts.size()) + ", one for each token", std::to_string(types.size())});
  for (std::size_t id = 0; id < types.size(); ++id) {
    const std::string_view text = tokens.texts[id];
    const std::string field = std::string(kTokens) + "[" + std::to_string(id) + "]";
    if (utf8_invalid_at(text)) return fail({Failure::bad_input, file.where(), field, "UTF-8", "an invalid sequence"});
    if (!into.vocabulary.add(text, std::uint32_t(id)))
      return fail({Failure::bad_input, file.where(), field, "each token once", "one for the second time"});
    const bool special = types[id] == kControl || types[id] == kUnknown;
    if (!special && types[id] != kUserDefined && !is_run(text)) continue;
    into.added.push_back({.content = std::string(text), .normalized = false, .special = special});
    into.added_ids.push_back(std::uint32_t(id));
  }
  return into.vocabulary.finish(file.where());
}

Result<void> add_merges(const Gguf& file, TokenizerJson& into) {
  ASSAY_TRY(merges, required(file, kMerges, "a list of strings", [](const GgufValue& value) { return value.texts(); }));
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::size_t space = merges[i].find(' ');
    if (space == std::string_view::npos || merges[i].find(' ', space + 1) != std::string_view::npos)
      return fail({Failure::bad_input, file.where(), std::string(kMerges) + "[" + std::to_string(i) + "]",
                   "two tokens with a space between them", std::string(merges[i].substr(0, 80))});
    into.merges.add(merges[i].substr(0, space), merges[i].substr(space + 1));
  }
  return {};
}

}  // namespace

Result<GgufTokenizer> read_gguf_tokenizer(const Gguf& file) {
  ASSAY_CHECK(check_kind(file));
  ASSAY_TRY(tokens, read_gguf_tokens(file));
  GgufTokenizer read;
  ASSAY_CHECK(add_tokens(file, tokens, read.file));
  ASSAY_CHECK(add_merges(file, read.file));
  using Name = std::pair<const char*, const char*>;
  for (const auto& [name, key] : std::array{Name{"bos_token", "bos"}, Name{"eos_token", "eos"},
                                            Name{"unk_token", "unknown"}, Name{"pad_token", "padding"}})
    if (const std::string_view text = tokens.text(key); !text.empty())
      read.config.named.emplace_back(name,
                                     AddedToken{.content = std::string(text), .normalized = false, .special = true});
  read.file.options = {read.config.text("unk_token"), true, true, false};
  const auto around = [&](const std::string& name, bool otherwise, std::vector<std::int64_t>& ids) -> Result<void> {
    ASSAY_TRY(wanted, flag(file, "tokenizer.ggml.add_" + name + "_token", otherwise));
    if (const auto id = tokens.named.find(name); wanted && id != tokens.named.end()) ids.push_back(id->second);
    return {};
  };
  ASSAY_CHECK(around("bos", true, read.file.before));
  ASSAY_CHECK(around("eos", false, read.file.after));
  return read;
}

}  // namespace assay
