#include "kernels/spec/softcap.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx512 {

void softcap_fp32_fp32(const float* x, float cap, int cols, float* y, int first, int last) {
  const Lanes bound = all(cap);
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    each_register(cols, [&](int c, int count) {
      store_some(y + at + c, multiply(tangent(divide(load_some(x + at + c, count), bound)), bound), count);
    });
  }
}

}  // namespace assay::kernels::cpu::avx512
