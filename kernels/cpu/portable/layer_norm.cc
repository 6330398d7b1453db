#include "kernels/spec/layer_norm.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void layer_norm_fp32_fp32(const float* x, const float* weight, const float* bias, float eps, int cols, float* y,
                          int first, int last) {
  for (int r = first; r < last; ++r) {
    const float* in = x + size_t(r) * size_t(cols);
    float* out = y + size_t(r) * size_t(cols);
    const float mean = sum_of(in, cols) / float(cols);
    float squares[kSumLanes] = {};
    for (int c = 0; c < cols; ++c) squares[c % kSumLanes] += (in[c] - mean) * (in[c] - mean);
    const float scale = 1 / sqrtf(sum_of(squares, kSumLanes) / float(cols) + eps);
    for (int c = 0; c < cols; ++c) out[c] = (in[c] - mean) * scale * weight[c] + (bias == nullptr ? 0 : bias[c]);
  }
}

}  // namespace assay::kernels::cpu::portable
