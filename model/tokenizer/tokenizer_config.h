// Reads tokenizer_config.json and, where there is no added_tokens_decoder in it, special_tokens_map.json: which tokens
// have names, which are added, and in what order, for an id that is new depends on it. Private to this folder. Not
// here: the chat template, which is model/chat's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "added_tokens.h"
#include "base/result.h"

namespace assay {

struct TokenizerConfig {
  std::string tokenizer_class;  ///< empty where there is no file
  /// bos_token ... mask_token, then the model's own (image_token ...); a null one has no value.
  std::vector<std::pair<std::string, std::optional<AddedToken>>> named;
  std::optional<std::vector<AddedToken>> extra;              ///< extra_special_tokens; none where the key is missing
  std::optional<std::map<std::uint32_t, AddedToken>> added;  ///< added_tokens_decoder
  bool add_bos = false, add_eos = false;                     ///< read only where there is no tokenizer.json

  bool has(const std::string& name) const;  ///< the key is there, maybe null
  std::optional<std::string> text(const std::string& name) const;
};

/// Of a checkpoint directory; empty where the file is missing.
/// Errors: io; bad_input; unsupported (single_word, split_special_tokens).
/// Source: PreTrainedTokenizerBase._from_pretrained and __init__ (transformers 5.22.2).
Result<TokenizerConfig> read_tokenizer_config(const std::filesystem::path& directory);

/// The same from the file's text.
Result<TokenizerConfig> parse_tokenizer_config(std::string_view text, const std::string& where);

}  // namespace assay
