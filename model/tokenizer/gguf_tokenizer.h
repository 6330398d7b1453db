// Reads a GGUF's metadata as a tokenizer.json would have it. Private to this folder. Not here: other families'
// vocabularies, and lists of tokens with scores and no merges (sentencepiece's), which are refused.
// Source: as model/gguf/gguf_tokens.h.
#pragma once

#include "base/result.h"
#include "model/gguf/gguf.h"
#include "tokenizer_config.h"
#include "tokenizer_json.h"

namespace assay {

struct GgufTokenizer {
  /// Control tokens are special; user-defined ones are added. So are runs of white space, as Gemma's sentencepiece
  /// models declare them: the converter keeps user-defined only what lies beyond the base vocabulary, so that a GGUF
  /// cannot say which others a tokenizer.json adds (tags such as <table>, if any); who must know brings the
  /// tokenizer.json. The flags that a GGUF does not keep are those of Gemma's files: nothing is stripped, and all are
  /// looked for in the text as it came.
  TokenizerJson file;
  TokenizerConfig config;  ///< the named tokens
};

/// Errors: bad_input (a key that is missing, of another type or length; a token that is not UTF-8 or there twice; a
/// merge that is not two tokens), unsupported (another kind of vocabulary), naming the key.
Result<GgufTokenizer> read_gguf_tokenizer(const Gguf& file);

}  // namespace assay
