#include "kernels/spec/attention.h"

#include "../simd/attention.h"

namespace assay::kernels::cpu::avx2 {

void attention_fp32_fp32(const Attention& a, int first, int last) { attention<KvFp32>(a, first, last); }
void attention_bf16_fp32(const Attention& a, int first, int last) { attention<KvBf16>(a, first, last); }
void attention_bf16_bf16(const Attention& a, int first, int last) { attention<KvBf16, true>(a, first, last); }
void attention_q8_0_fp32(const Attention& a, int first, int last) { attention<KvQ8_0>(a, first, last); }

}  // namespace assay::kernels::cpu::avx2
