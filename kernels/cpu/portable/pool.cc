#include "kernels/spec/pool.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void pool_fp32_fp32(const Pool& pool, int first, int last) {
  for (int r = first; r < last; ++r) {
    float* y = pool.y + size_t(r) * size_t(pool.cols);
    for (int c = 0; c < pool.cols; ++c) y[c] = 0;
    for (int i = pool.begin[r]; i < pool.begin[r + 1]; ++i) {
      const float* x = pool.x + size_t(pool.patches[i]) * size_t(pool.cols);
      for (int c = 0; c < pool.cols; ++c) y[c] += x[c];
    }
    for (int c = 0; c < pool.cols; ++c) y[c] *= pool.scale;
  }
}

}  // namespace assay::kernels::cpu::portable
