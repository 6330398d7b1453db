// Still images as transformers' image processor gets them: 8-bit RGB, upright. PNG, JPEG, WebP, BMP and GIF (its first
// picture). Alpha is dropped and palettes and grey become RGB, as PIL's convert("RGB") does it; the EXIF orientation is
// applied. Not here: resizing (resize.h), patches (patches.h), films (video.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace assay {

struct Image {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  ///< [height, width, 3]

  bool operator==(const Image&) const = default;
};

struct ImageLimits {
  std::int64_t pixels = 89'478'485;  ///< where PIL begins to warn of decompression bombs
  std::int64_t file_bytes = std::int64_t{256} << 20;
};

/// Errors: io; bad_input (no image, damage, truncated, over the limits); unsupported (CMYK, and whatever else has no
/// RGB that PIL and FFmpeg agree on). Exact for PNG, BMP, GIF and lossless WebP. JPEG: libjpeg's upsampling and
/// colours, FFmpeg's inverse transform, which rounds a few values differently (tolerance: jpeg_decode of
/// base/tolerance.h). Source: transformers.image_utils.load_image (5.22.2) with Pillow.
Result<Image> decode_image(const std::filesystem::path& path, const ImageLimits& limits = {});
/// The same from bytes; `where` names them in messages.
Result<Image> decode_image(std::span<const std::byte> bytes, const std::string& where, const ImageLimits& limits = {});

}  // namespace assay
