#include "kernels/spec/softcap.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx2 {

void softcap_fp32_fp32(const float* x, float cap, int cols, float* y, int first, int last) {
  softcap(x, cap, cols, y, first, last);
}

}  // namespace assay::kernels::cpu::avx2
