// Any bytes as tokenizer.model: refused with a message, or a tokenizer that encodes and decodes.
#include <cstdint>

#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = assay::Tokenizer::from_model(bytes, "fuzz");
  if (!tokenizer) {
    assay::check(tokenizer.error().where == "fuzz" || tokenizer.error().where.starts_with("fuzz:"));
    return 0;
  }
  assay::check_tokenizer(*tokenizer, "ab abc\n\n\n <bos>\xF0\x9F\x99\x82 \xC3\xA9<|turn>\xFFz");
  assay::check_tokenizer(*tokenizer, bytes);
  return 0;
}
