// From a picture to what the vision tower takes: the size that fills a token budget, patches in row-major order, their
// positions, padding. Not here: resizing (resize.h), reading the processor's configuration (processor/).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/media/image.h"

namespace assay {

/// What the image or the video processor is configured with.
struct PatchSettings {
  int patch = 16;              ///< pixels along a side
  int pool = 3;                ///< patches along a side of a soft token
  int soft_tokens = 280;       ///< the budget: 70, 140, 280, 560 or 1120
  bool merged = false;         ///< unified: a row is pool x pool patches
  bool resize = true;          ///< do_resize
  double rescale = 1.0 / 255;  ///< 1 where do_rescale is off
  bool normalize = false;      ///< do_normalize: (x * rescale - mean) / std, fused as transformers fuses it
  std::vector<double> mean = {0, 0, 0}, std = {1, 1, 1};

  int rows() const { return merged ? soft_tokens : soft_tokens * pool * pool; }  ///< with padding
  int columns() const { return patch * patch * 3 * (merged ? pool * pool : 1); }
};

struct Size {
  int width = 0, height = 0;
  bool operator==(const Size&) const = default;
};

/// The largest size that keeps the aspect ratio, has sides that are multiples of patch * pool and at most soft_tokens
/// of these squares. Errors: bad_input (an empty image; one whose size would round to nothing). Source:
/// get_aspect_ratio_preserving_size (transformers 5.22.2).
Result<Size> target_size(Size image, const PatchSettings& settings, const std::string& where);

struct Patches {
  std::vector<float> values;            ///< [rows, columns]; (row, column, channel), channel fastest
  std::vector<std::int64_t> positions;  ///< [rows, 2]: x, y; -1 where padded
  int soft_tokens = 0;                  ///< that this image takes
};

/// Of an image whose sides are multiples of patch * pool. Errors: bad_input (another size, more rows than the budget).
/// Source: Gemma4ImageProcessor._preprocess, Gemma4UnifiedImageProcessor._preprocess (transformers 5.22.2).
Result<Patches> make_patches(const Image& image, const PatchSettings& settings, const std::string& where);

}  // namespace assay
