// Reads a sentencepiece tokenizer.model: its pieces, their kinds, and the merges that transformers derives from their
// order. The one file that sees the sentencepiece library. Private to this folder. Not here: sentencepiece's own
// encoding by score, which gives other ids than transformers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "base/result.h"
#include "bpe.h"
#include "vocabulary.h"

namespace assay {

struct SentencepieceModel {
  Vocabulary vocabulary;
  MergeList merges;
  std::vector<AddedToken> added;  ///< control pieces (special) and user-defined ones, by id
};

/// Errors: bad_input (what the library refuses; a piece that is not UTF-8, a piece twice), unsupported (a piece longer
/// than 512 bytes), naming `where`.
/// Source: SentencePieceExtractor and generate_merges (transformers 5.22.2).
Result<SentencepieceModel> parse_sentencepiece_model(std::string_view bytes, const std::string& where);

}  // namespace assay
