#include "kernels/spec/activate.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx2 {

void activate_fp32_fp32(const float* x, Activation activation, int cols, float* y, int first, int last) {
  activate(x, activation, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx2
