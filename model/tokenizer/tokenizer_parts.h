// What a Tokenizer holds, and how it is put together from its files. Private to this folder. Not here: reading them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "added_tokens.h"
#include "base/result.h"
#include "bpe.h"
#include "sentencepiece_model.h"
#include "tokenizer.h"
#include "tokenizer_config.h"
#include "tokenizer_json.h"

namespace assay {

struct Tokenizer::Parts {
  Bpe bpe;
  AddedTokens added;
  std::vector<std::int64_t> before, after;  ///< ids that add_special puts around a text
  std::optional<std::int64_t> bos, eos, pad, unk;

  std::optional<std::int64_t> id_of(std::string_view token) const;
  /// The token as decode() reads it: an added one's spelling, else the vocabulary's.
  std::optional<std::string_view> spelling(std::int64_t id) const;
};

/// GemmaTokenizer keeps a tokenizer.json's vocabulary, merges and post-processor, and brings its own settings; any
/// other class takes the file as it is. `where` names the file. Source: TokenizersBackend.convert_to_native_format and
/// __init__, GemmaTokenizer (transformers 5.22.2).
Result<Tokenizer::Parts> assemble(TokenizerJson file, const TokenizerConfig& config, const std::string& where);
/// Always as GemmaTokenizer: the scores of the pieces, and the normaliser, are unused.
Result<Tokenizer::Parts> assemble(SentencepieceModel model, TokenizerConfig config, const std::string& where);

}  // namespace assay
