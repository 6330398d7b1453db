// Any bytes as tokenizer.model: refused with a message, or a tokenizer that encodes and decodes.
#include <cstdint>

#include "tokenizer_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto tokenizer = assay::Tokenizer::from_model(bytes, "fuzz");
  assay::check_read(tokenizer, bytes);
  return 0;
}
