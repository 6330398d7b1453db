#include "kernels/spec/layer_norm.h"

#include "../simd/norms.h"

namespace assay::kernels::cpu::avx2 {

void layer_norm_fp32_fp32(const float* x, const float* weight, const float* bias, float eps, int cols, float* y,
                          int first, int last) {
  layer_norm(x, weight, bias, eps, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx2
