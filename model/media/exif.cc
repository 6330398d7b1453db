#include "model/media/exif.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace assay {
namespace {

constexpr std::uint32_t kOrientation = 0x0112;
constexpr std::uint32_t kShort = 3;
constexpr std::string_view kExif("Exif\0\0", 6);

std::optional<std::uint32_t> number(std::string_view bytes, std::size_t at, std::size_t size, bool big) {
  if (at > bytes.size() || size > bytes.size() - at) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i)
    value |= std::uint32_t(static_cast<unsigned char>(bytes[at + i])) << (8 * (big ? size - 1 - i : i));
  return value;
}

/// Of a TIFF header and its first directory.
int of_tiff(std::string_view tiff) {
  if (tiff.starts_with(kExif)) tiff.remove_prefix(kExif.size());
  const bool big = tiff.starts_with("MM");
  if (!big && !tiff.starts_with("II")) return 1;
  const auto directory = number(tiff, 4, 4, big);
  const auto entries = directory ? number(tiff, *directory, 2, big) : std::nullopt;
  for (std::uint32_t i = 0; entries && i < *entries; ++i) {
    const std::size_t at = std::size_t{*directory} + 2 + std::size_t{12} * i;
    const auto tag = number(tiff, at, 2, big);
    if (!tag) return 1;
    if (*tag != kOrientation) continue;
    const auto type = number(tiff, at + 2, 2, big);
    const auto value = number(tiff, at + 8, 2, big);
    return type == kShort && value && *value >= 1 && *value <= 8 ? int(*value) : 1;
  }
  return 1;
}

int of_jpeg(std::string_view file) {
  for (std::size_t at = 2; at + 4 <= file.size();) {
    if (file[at] != '\xff') return 1;
    const char marker = file[at + 1];
    if (marker == '\xff') {  // filling
      ++at;
      continue;
    }
    if (marker == '\xda') return 1;  // the picture begins
    const std::size_t length = *number(file, at + 2, 2, true);
    const std::string_view body = file.substr(at + 4, length < 2 ? 0 : length - 2);
    if (marker == '\xe1' && body.starts_with(kExif)) return of_tiff(body);
    at += 2 + length;
  }
  return 1;
}

/// Chunks of PNG (length, name, body, checksum) or RIFF (name, length, body, padding to even).
int of_chunks(std::string_view file, std::size_t at, std::string_view wanted, bool png) {
  while (at + 8 <= file.size()) {
    const std::size_t length = *number(file, png ? at : at + 4, 4, png);
    const std::string_view name = file.substr(png ? at + 4 : at, 4);
    if (name == wanted) return of_tiff(file.substr(at + 8, length));
    at += 8 + length + (png ? 4 : length % 2);
  }
  return 1;
}

}  // namespace

int exif_orientation(std::string_view file) {
  if (file.starts_with("\xff\xd8")) return of_jpeg(file);
  if (file.starts_with("\x89PNG")) return of_chunks(file, 8, "eXIf", true);
  if (file.starts_with("RIFF")) return of_chunks(file, 12, "EXIF", false);
  return 1;
}

}  // namespace assay
