#include "kernels/spec/narrow.h"

#include <immintrin.h>
#include <cstddef>

namespace assay::kernels::cpu::avx512 {

void narrow_fp32_bf16(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::uint16_t*>(out.values);
  const std::size_t end = std::size_t(last) * std::size_t(cols);
  for (std::size_t i = std::size_t(first) * std::size_t(cols); i < end; i += 16) {
    const __mmask16 mask = end - i >= 16 ? 0xffffU : __mmask16((1U << (end - i)) - 1U);
    // In integers: the instruction for bfloat16 flushes subnormals to zero.
    const __m512i bits = _mm512_maskz_loadu_epi32(mask, x + i);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    _mm256_mask_storeu_epi16(values + i, mask, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
  }
}

void narrow_fp32_int8(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::int8_t*>(out.values);
  const std::size_t blocks = std::size_t(cols / kActsBlock);
  for (std::size_t b = std::size_t(first) * blocks; b < std::size_t(last) * blocks; ++b) {
    const __m512 v0 = _mm512_loadu_ps(x + b * kActsBlock), v1 = _mm512_loadu_ps(x + b * kActsBlock + 16);
    const float absmax = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(v0), _mm512_abs_ps(v1)));
    const bool zero = absmax < kSmallestAbsmax;
    const __m512 inverse = _mm512_set1_ps(zero ? 0 : 127 / absmax);
    out.scales[b] = zero ? 0 : absmax / 127;
    const __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(v0, inverse)),
                  q1 = _mm512_cvtps_epi32(_mm512_mul_ps(v1, inverse));
    const __m128i bytes0 = _mm512_cvtepi32_epi8(q0), bytes1 = _mm512_cvtepi32_epi8(q1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + b * kActsBlock), bytes0);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(values + b * kActsBlock + 16), bytes1);
    out.sums[2 * b] = kSumsFactor * _mm512_reduce_add_epi32(q0);
    out.sums[2 * b + 1] = kSumsFactor * _mm512_reduce_add_epi32(_mm512_add_epi32(q0, q1));
  }
}

}  // namespace assay::kernels::cpu::avx512
