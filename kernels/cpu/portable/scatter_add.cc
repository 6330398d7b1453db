#include "kernels/spec/scatter_add.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void scatter_add_fp32_fp32(const ScatterAdd& add, int first, int last) {
  for (int t = first; t < last; ++t) {
    float* y = add.y + size_t(t) * size_t(add.cols);
    for (int c = 0; c < add.cols; ++c) y[c] = 0;
    for (size_t i = size_t(t) * size_t(add.used); i < size_t(t + 1) * size_t(add.used); ++i) {
      if (add.rows[i] < 0) continue;
      const float* x = add.x + size_t(add.rows[i]) * size_t(add.cols);
      const float weight = add.weights[i];
      for (int c = 0; c < add.cols; ++c) y[c] += weight * x[c];
    }
  }
}

}  // namespace assay::kernels::cpu::portable
