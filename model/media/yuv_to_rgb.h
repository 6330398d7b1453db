// Decoded JPEG and WebP planes to RGB with the upsampling and the integer colour arithmetic of libjpeg and libwebp,
// which Pillow and torchvision use; libswscale's are others. Private to model/media. Not here: decoding; films
// (video.cc).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace assay {

/// One plane; rows lie `stride` bytes apart, which may be negative.
struct Plane {
  const std::uint8_t* data = nullptr;
  std::ptrdiff_t stride = 0;
  int width = 0, height = 0;

  const std::uint8_t* row(int y) const { return data + std::ptrdiff_t(y) * stride; }
};

/// Full-range BT.601. Chroma sides are the luma's divided by 1, 2 or 4, rounded up.
/// @param rgb  [y.height, y.width, 3]
/// Source: libjpeg-turbo's jdsample.c ("fancy" upsampling) and jdcolor.c.
void jpeg_to_rgb(const Plane& y, const Plane& cb, const Plane& cr, std::span<std::uint8_t> rgb);

/// Video-range BT.601; chroma sides are half the luma's, rounded up. Source: libwebp's dsp/upsampling.c and dsp/yuv.h.
void webp_to_rgb(const Plane& y, const Plane& u, const Plane& v, std::span<std::uint8_t> rgb);

}  // namespace assay
