#include "kernels/spec/rope.h"

#include "../simd/rope.h"

namespace assay::kernels::cpu::avx512 {

void rope_fp32_fp32(const Rope& rope, int first, int last) { rotate(rope, first, last); }

}  // namespace assay::kernels::cpu::avx512
