// Reads a tokenizer.json: vocabulary, merges, added tokens, and whether the rest of its pipeline is Gemma's. One pass
// over the text, because the published ones are 32 MB. Private to this folder. Not here: what transformers adds from
// tokenizer_config.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "base/result.h"
#include "bpe.h"
#include "vocabulary.h"

namespace assay {

struct TokenizerJson {
  Vocabulary vocabulary;
  MergeList merges;
  BpeOptions options;
  std::vector<AddedToken> added;            ///< in the file's order
  std::vector<std::uint32_t> added_ids;     ///< that the file claims for them: what added_tokens_decoder sorts by
  std::vector<std::int64_t> before, after;  ///< what its post-processor puts around a text
};

/// Errors: bad_input (JSON, sizes, ids, duplicates), unsupported (another model, normaliser, pre-tokenizer, decoder or
/// post-processor than Gemma's files have; dropout), each naming `where` and the field.
Result<TokenizerJson> parse_tokenizer_json(std::string_view text, const std::string& where);

}  // namespace assay
