// What must hold of any tokenizer that was accepted, whatever its tables say. Not here: equality with transformers
// (tests/tokenizer).
#pragma once

#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/tokenizer.h"
#include "model/tokenizer/utf8.h"

namespace assay {

inline void check(bool holds) {
  if (!holds) std::abort();
}

/// Streaming gives what decoding at once does, and both give UTF-8.
inline void check_decode(const Tokenizer& tokenizer, std::span<const std::int64_t> ids) {
  for (const bool skip : {false, true}) {
    StreamDecoder stream(tokenizer, skip);
    std::string joined;
    for (const std::int64_t id : ids) {
      const std::string text = stream.push(id);
      check(!utf8_invalid_at(text));
      joined += text;
    }
    check(joined + stream.finish() == tokenizer.decode(ids, skip));
  }
}

inline void check_tokenizer(const Tokenizer& tokenizer, std::string_view text) {
  check(tokenizer.size() > 0);
  const auto ids = tokenizer.encode(text);
  if (!ids) {
    check(!ids.error().message().empty());
    return;
  }
  check_decode(tokenizer, *ids);
  const std::vector<std::int64_t> odd = {-1, 0, 1, 2, 3, 1LL << 40, tokenizer.size() - 1, tokenizer.size()};
  check_decode(tokenizer, odd);
  for (const std::int64_t id : odd)
    if (const auto token = tokenizer.token_of(id)) check(tokenizer.id_of(*token).has_value());
}

/// What came of reading `bytes` as "fuzz": a refusal that says where, or a tokenizer that works on them too.
inline void check_read(const Result<Tokenizer>& tokenizer, std::string_view bytes) {
  if (!tokenizer) {
    check(tokenizer.error().where == "fuzz" || tokenizer.error().where.starts_with("fuzz:"));
    return;
  }
  check_tokenizer(*tokenizer, "ab abc\n\n\n <bos>\xF0\x9F\x99\x82 \xC3\xA9<|turn>\xFFz");
  check_tokenizer(*tokenizer, bytes);
}

}  // namespace assay
