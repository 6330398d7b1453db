#include "kernels/spec/norm_add.h"

#include "../simd/norms.h"

namespace assay::kernels::cpu::avx512 {

void norm_add_fp32_fp32(const float* x, const float* weight, float eps, const float* residual, float scalar, int cols,
                        float* y, int first, int last) {
  norm_add(x, weight, eps, residual, scalar, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512
