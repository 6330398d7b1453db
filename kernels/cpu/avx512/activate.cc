#include "kernels/spec/activate.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx512 {

void activate_fp32_fp32(const float* x, Activation activation, int cols, float* y, int first, int last) {
  with(activation, [&]<Activation kActivation>() {
    for (int r = first; r < last; ++r) {
      const size_t at = size_t(r) * size_t(cols);
      each_register(cols, [&](int c, int count) {
        store_some(y + at + c, activated<kActivation>(load_some(x + at + c, count)), count);
      });
    }
  });
}

}  // namespace assay::kernels::cpu::avx512
