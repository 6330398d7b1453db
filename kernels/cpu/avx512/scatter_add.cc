#include "kernels/spec/scatter_add.h"

#include "../simd/scatter_add.h"

namespace assay::kernels::cpu::avx512 {

void scatter_add_fp32_fp32(const ScatterAdd& add, int first, int last) { scatter_add(add, first, last); }

}  // namespace assay::kernels::cpu::avx512
