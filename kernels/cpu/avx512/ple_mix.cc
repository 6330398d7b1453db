#include "kernels/spec/ple_mix.h"

#include "../simd/norms.h"

namespace assay::kernels::cpu::avx512 {

void ple_mix_fp32_fp32(const float* x, float prescale, const float* weight, float eps, const float* token, float scale,
                       int cols, float* y, int first, int last) {
  ple_mix(x, prescale, weight, eps, token, scale, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512
