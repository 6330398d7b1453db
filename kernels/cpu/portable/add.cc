#include "kernels/spec/add.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void add_fp32_fp32(const float* a, const float* b, int b_stride, float scalar, int cols, float* y, int first,
                   int last) {
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    const float* right = b + size_t(r) * size_t(b_stride);
    for (int c = 0; c < cols; ++c) y[at + size_t(c)] = (a[at + size_t(c)] + right[c]) * scalar;
  }
}

}  // namespace assay::kernels::cpu::portable
