// SHA-256 of bytes and files, as lowercase hex; the work is OpenSSL's.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace assay {

std::string sha256_hex(std::span<const std::byte> bytes);
/// Errors: io (cannot be read).
Result<std::string> sha256_file(const std::filesystem::path& path);

}  // namespace assay
