// Files read whole and written so that a reader never sees half of one. Not here: formats.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

/// The bytes of a file of at most `limit` bytes. Errors: io; bad_input (larger than the limit, or not a regular file).
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit);

/// Writes beside `path`, flushes, then renames over it. Errors: io; the old file, if any, is untouched then.
Result<void> write_file(const std::filesystem::path& path, std::string_view bytes);

/// The same for a writer that wants a path of its own: `write` fills the temporary file it is given.
Result<void> write_beside(const std::filesystem::path& path,
                          const std::function<Result<void>(const std::filesystem::path&)>& write);

}  // namespace assay
