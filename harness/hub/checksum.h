// The checksums by which the hub names files: SHA-256 of large ones (LFS), git's SHA-1 of a blob for small ones.
// Private to its room. Not here: fetching.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

/// 40 or 64 lowercase hexadecimal digits.
bool is_checksum(std::string_view text);

/// The checksum of a file's bytes, of the kind that `like` is. Errors: io.
Result<std::string> checksum_of(const std::filesystem::path& path, std::string_view like);

}  // namespace assay
