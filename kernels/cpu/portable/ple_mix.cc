#include "kernels/spec/ple_mix.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void ple_mix_fp32_fp32(const float* x, float prescale, const float* weight, float eps, const float* token, float scale,
                       int cols, float* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    float squares[kSumLanes] = {};
    for (int c = 0; c < cols; ++c) {
      const float v = x[at + c] * prescale;
      squares[c % kSumLanes] += v * v;
    }
    const float norm = 1 / sqrtf(sum_of(squares, kSumLanes) / float(cols) + eps);
    for (int c = 0; c < cols; ++c) y[at + c] = (x[at + c] * prescale * norm * weight[c] + token[at + c]) * scale;
  }
}

}  // namespace assay::kernels::cpu::portable
