#include "kernels/spec/gated.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void gated_fp32_fp32(const Gated& gated, int first, int last) {
  for (int r = first; r < last; ++r) {
    const float* gate = gated.gate + size_t(r) * size_t(gated.gate_stride);
    const float* up = gated.up + size_t(r) * size_t(gated.up_stride);
    float* y = gated.y + size_t(r) * size_t(gated.y_stride);
    for (int c = 0; c < gated.cols; ++c) y[c] = activated(gate[c], gated.activation) * up[c];
  }
}

}  // namespace assay::kernels::cpu::portable
