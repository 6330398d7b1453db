#include "kernels/spec/gated.h"

#include "../simd/activations.h"

namespace assay::kernels::cpu::avx2 {

void gated_fp32_fp32(const Gated& gated, int first, int last) { gate(gated, first, last); }

}  // namespace assay::kernels::cpu::avx2
