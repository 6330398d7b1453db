// Patches averaged into soft tokens. Not here: which patches fall into a cell (the caller sorts them by position once
// an image), cells that none falls into (the caller leaves them out).
//   y[r, c] = sum over i in [begin[r], begin[r + 1]) of x[patches[i], c], in this order, times scale
// Shapes: x [anything, cols], patches [begin[rows]], begin [rows + 1], y [rows, cols]. scale holds the weight of a
// patch and what the average is multiplied by: sqrt(hidden) / (side * side). A cell without patches is zeros. Writes
// y[first, last) only, reads nothing outside its operands. Arithmetic: fp32. Bytes: the patches' rows, begin, patches
// and y once. FLOPs: patches cols + rows cols. Source: Gemma4VisionPooler (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

struct Pool {
  const float* x;
  const std::int32_t *begin, *patches;
  float* y;
  int cols;
  float scale;
};

namespace spec {

struct pool {
  using Fn = void(const Pool& pool, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
