// Bicubic resize with antialiasing of 8-bit images: torch's native kernel, to the bit. Not here: what size (patches.h).
#pragma once

#include "base/result.h"
#include "model/media/image.h"

namespace assay {

/// First across, then down, each pass rounded to 8 bits; weights in fixed point with as many bits as 16 hold.
/// @param width, height  1 to 2^20
/// Errors: bad_input (an empty image, a size outside these bounds).
/// Source: torchvision v2 resize(BICUBIC, antialias=True) on uint8, that is torch's upsample_bicubic2d_aa (2.15.0).
Result<Image> resize_bicubic(const Image& image, int width, int height);

}  // namespace assay
