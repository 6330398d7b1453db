#include "kernels/spec/standardize.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void standardize_fp32_fp32(const float* x, const float* bias, const float* scale, int cols, float* y, int first,
                           int last) {
  for (int r = first; r < last; ++r) {
    const float* in = x + size_t(r) * size_t(cols);
    float* out = y + size_t(r) * size_t(cols);
    if (bias == nullptr)
      for (int c = 0; c < cols; ++c) out[c] = in[c] * scale[c];
    else
      for (int c = 0; c < cols; ++c) out[c] = (in[c] - bias[c]) * scale[c];
  }
}

}  // namespace assay::kernels::cpu::portable
