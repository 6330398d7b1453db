#include "kernels/spec/depthwise_conv.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void depthwise_conv_fp32_fp32(const float* x, const float* w, int size, int cols, float* y, int first, int last) {
  for (int t = first; t < last; ++t) {
    float* out = y + size_t(t) * size_t(cols);
    for (int c = 0; c < cols; ++c) out[c] = 0;
    for (int i = 0; i < size; ++i) {
      const int frame = t - (size - 1) + i;
      if (frame < 0) continue;
      const float *in = x + size_t(frame) * size_t(cols), *weights = w + size_t(i) * size_t(cols);
      for (int c = 0; c < cols; ++c) out[c] += in[c] * weights[c];
    }
  }
}

}  // namespace assay::kernels::cpu::portable
