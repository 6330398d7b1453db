// Any bytes as a text for the committed tokenizer: it comes back whole, but for U+2581, which is a space's name; and
// any bytes as ids.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "tokenizer_checks.h"

namespace {

const assay::Tokenizer& committed() {
  static const auto kTokenizer = assay::Tokenizer::open(ASSAY_SOURCE_DIR "/tests/data/tokenizer");
  assay::check(kTokenizer.has_value());
  return *kTokenizer;
}

std::string with_spaces(std::string text) {
  for (std::size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos;) text.replace(at, 3, " ");
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto ids = committed().encode(bytes);
  assay::check(ids.has_value());
  for (const std::int64_t id : *ids) assay::check(id >= 0 && id < committed().size());
  assay::check(committed().decode(*ids) == with_spaces(assay::utf8_replaced(bytes)));
  assay::check(committed().encode(bytes, {.strict = true}).has_value() == !assay::utf8_invalid_at(bytes));
  std::vector<std::int64_t> any(size / 2);
  for (std::size_t i = 0; i < any.size(); ++i) any[i] = (data[2 * i] * 256 + data[2 * i + 1]) % 1200;
  assay::check_decode(committed(), any);
  return 0;
}
