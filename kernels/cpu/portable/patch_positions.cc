#include "kernels/spec/patch_positions.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void patch_positions_fp32_fp32(const PatchPositions& p, int first, int last) {
  for (int r = first; r < last; ++r) {
    const std::int64_t at_x = p.ids[2 * size_t(r)], at_y = p.ids[2 * size_t(r) + 1];
    const float* by_x = at_x < 0 ? nullptr : p.by_x + size_t(at_x) * size_t(p.table_stride);
    const float* by_y = at_y < 0 ? nullptr : p.by_y + size_t(at_y) * size_t(p.table_stride);
    const float* x = p.x + size_t(r) * size_t(p.cols);
    float* y = p.y + size_t(r) * size_t(p.cols);
    for (int c = 0; c < p.cols; ++c) y[c] = x[c] + ((by_x == nullptr ? 0 : by_x[c]) + (by_y == nullptr ? 0 : by_y[c]));
  }
}

}  // namespace assay::kernels::cpu::portable
