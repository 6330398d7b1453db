// What a function returns that can fail: a value, or a Failure that says which file, which field, what was expected and
// what was found. Library code returns these; only the command line prints them. Not here: exceptions, logging.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace assay {

struct Failure {
  enum Kind {
    bad_input,    ///< a file or an argument from outside is wrong
    unsupported,  ///< well formed, but more than this engine or this version can do
    bad_output,   ///< an engine broke its contract: a wrong shape, a tap offered twice or not at all
    io,           ///< the operating system refused: no such file, no space, no permission
    internal,     ///< a mistake of ours
  };
  Kind kind = bad_input;
  std::string where;     ///< a file, or the thing that was read
  std::string field;     ///< the key, tensor or argument; may be empty
  std::string expected;  ///< may be empty
  std::string found;     ///< may be empty

  /// `e2b/config.json: text_config.head_dim: expected 2 to 4096, found -8`
  std::string message() const;
};

template <class T>
using Result = tl::expected<T, Failure>;

inline tl::unexpected<Failure> fail(Failure failure) { return tl::unexpected<Failure>(std::move(failure)); }

/// Hands an error up: `ASSAY_TRY(file, open(path))` declares `file`, or returns the failure.
// NOLINTBEGIN(bugprone-macro-parentheses): a declared name takes none
#define ASSAY_CONCAT_INNER(a, b) a##b
#define ASSAY_CONCAT(a, b) ASSAY_CONCAT_INNER(a, b)
#define ASSAY_TRY(name, expression) ASSAY_TRY_IMPL(ASSAY_CONCAT(assay_try_, __LINE__), name, expression)
#define ASSAY_TRY_IMPL(tmp, name, expression)                                  \
  auto tmp = (expression);                                                     \
  if (!tmp) return ::tl::unexpected<::assay::Failure>(std::move(tmp).error()); \
  auto name = std::move(*tmp)
// NOLINTEND(bugprone-macro-parentheses)
/// The same for Result<void>.
#define ASSAY_CHECK(expression)                                                                    \
  do {                                                                                             \
    auto assay_check_ = (expression);                                                              \
    if (!assay_check_) return ::tl::unexpected<::assay::Failure>(std::move(assay_check_).error()); \
  } while (false)

}  // namespace assay
