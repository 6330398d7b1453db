// The vocabulary in a GGUF's metadata (tokenizer.ggml.*), as far as tokenizer, chat template and stop tokens share it.
// Not here: encoding (model/tokenizer).
// Source: what llama.cpp's converter writes for Gemma 4; PyPI's gguf 0.19 (Keys.Tokenizer, vocab.py).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf/gguf.h"

namespace assay {

struct GgufTokens {
  std::vector<std::string_view> texts;                     ///< by id; in the file's bytes, which must outlive them
  std::map<std::string, std::int64_t, std::less<>> named;  ///< bos, eos, eot, eom, unknown, padding, as far as it says

  /// The text of a named one; empty where there is none.
  std::string_view text(std::string_view name) const;
};

/// Errors: bad_input (no list of tokens, an id that is none of theirs), naming the key.
Result<GgufTokens> read_gguf_tokens(const Gguf& file);

}  // namespace assay
