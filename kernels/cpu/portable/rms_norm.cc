#include "kernels/spec/rms_norm.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void rms_norm_fp32_fp32(const float* x, const float* weight, float eps, int cols, float* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const float* in = x + size_t(r) * size_t(cols);
    float* out = y + size_t(r) * size_t(cols);
    const float scale = inverse_rms(in, cols, eps);
    if (weight == nullptr)
      for (int c = 0; c < cols; ++c) out[c] = in[c] * scale;
    else
      for (int c = 0; c < cols; ++c) out[c] = in[c] * scale * weight[c];
  }
}

}  // namespace assay::kernels::cpu::portable
