#include "kernels/spec/gated.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx2 {

void gated_fp32_fp32(const Gated& gated, int first, int last) {
  with(gated.activation, [&]<Activation kActivation>() {
    for (int r = first; r < last; ++r) {
      const float* gate = gated.gate + size_t(r) * size_t(gated.gate_stride);
      const float* up = gated.up + size_t(r) * size_t(gated.up_stride);
      float* y = gated.y + size_t(r) * size_t(gated.y_stride);
      each_register(gated.cols, [&](int c, int count) {
        const Lanes opened = activated<kActivation>(load_some(gate + c, count));
        store_some(y + c, multiply(opened, load_some(up + c, count)), count);
      });
    }
  });
}

}  // namespace assay::kernels::cpu::avx2
