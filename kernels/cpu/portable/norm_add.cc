#include "kernels/spec/norm_add.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void norm_add_fp32_fp32(const float* x, const float* weight, float eps, const float* residual, float scalar, int cols,
                        float* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    const float scale = inverse_rms(x + at, cols, eps);
    if (weight == nullptr)
      for (int c = 0; c < cols; ++c) y[at + c] = (residual[at + c] + x[at + c] * scale) * scalar;
    else
      for (int c = 0; c < cols; ++c) y[at + c] = (residual[at + c] + x[at + c] * scale * weight[c]) * scalar;
  }
}

}  // namespace assay::kernels::cpu::portable
