// UTF-8 from outside, read as Python reads it. Not here: other encodings, normal forms.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

struct Utf8Step {
  std::size_t bytes;  ///< read, at least 1
  bool valid;         ///< else `bytes` is a maximal subpart: one U+FFFD in Python's errors='replace'
  char32_t code;      ///< 0 where invalid
};

/// The character, or the bad sequence, at the front of a text that is not empty.
/// Source: Unicode 15, table 3-7, and "U+FFFD substitution of maximal subparts"; CPython's decoder does the same.
Utf8Step utf8_step(std::string_view text);

/// Where the first invalid byte is, if there is one.
std::optional<std::size_t> utf8_invalid_at(std::string_view text);

/// bytes.decode("utf-8", errors="replace"), in UTF-8.
std::string utf8_replaced(std::string_view text);

}  // namespace assay
