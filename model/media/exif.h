// The EXIF orientation of an image file. Private to model/media. Not here: turning pixels (image.cc).
#pragma once

#include <string_view>

namespace assay {

/// 1 to 8; 1 where the file says nothing, or nothing valid. Looks at JPEG's APP1, PNG's eXIf and WebP's EXIF.
/// Source: PIL.ImageOps.exif_transpose (Pillow), EXIF 2.32 section 4.6.
int exif_orientation(std::string_view file);

}  // namespace assay
