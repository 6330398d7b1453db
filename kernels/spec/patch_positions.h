// Learned positions of image patches, a row of one table for x and of another for y. Not here: which patches there are.
//   y[r, c] = x[r, c] + (by_x[ids[r, 0], c] + by_y[ids[r, 1], c]), a table's term left out where its id is below 0
// Shapes: x, y [rows, cols]; y may be x. ids [rows, 2]. by_x, by_y: rows of cols values, table_stride floats apart, so
// that a table that holds x and y in turn serves, too.
// Writes y[first, last) only, reads only the tables' rows that ids name. Every operation is one rounding of IEEE fp32,
// so all kernels give the same bits. Bytes: x, y, ids and the tables' rows once. FLOPs: 2 rows cols. Source:
// Gemma4VisionPatchEmbedder, Gemma4UnifiedVisionEmbedder (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

struct PatchPositions {
  const float* x;
  const std::int64_t* ids;
  const float *by_x, *by_y;
  float* y;
  int cols, table_stride;
};

namespace spec {

struct patch_positions {
  using Fn = void(const PatchPositions& positions, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
