#include "kernels/spec/rms_norm.h"

#include "../simd/norms.h"

namespace assay::kernels::cpu::avx2 {

void rms_norm_fp32_fp32(const float* x, const float* weight, float eps, int cols, float* y, int first, int last) {
  rms_norm(x, weight, eps, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx2
