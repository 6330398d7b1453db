#include "kernels/spec/attention.h"

#include "../simd/attention_bf16.h"

namespace assay::kernels::cpu::avx512_bf16 {

void attention_bf16_bf16(const Attention& a, int first, int last) {
  attention_in_ways<KvBf16, ManyPairs, FewPairs>(a, first, last);
}

}  // namespace assay::kernels::cpu::avx512_bf16
