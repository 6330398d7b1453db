#include "kernels/spec/scatter_add.h"

namespace assay::kernels::cpu::portable {

void scatter_add_fp32_fp32(const ScatterAdd& add, int first, int last) {
  for (int i = first; i < last; ++i) {
    const float* x = add.x + i * add.x_stride;
    float* y = add.y + add.rows[i] * add.y_stride;
    for (int c = 0; c < add.cols; ++c) y[c] += add.weights[i] * x[c];
  }
}

}  // namespace assay::kernels::cpu::portable
