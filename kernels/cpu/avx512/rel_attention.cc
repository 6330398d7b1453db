#include "kernels/spec/rel_attention.h"

#include "../simd/rel_attention.h"

namespace assay::kernels::cpu::avx512 {

void rel_attention_fp32_fp32(const RelAttention& a, int first, int last) { rel_attend(a, first, last); }

}  // namespace assay::kernels::cpu::avx512
