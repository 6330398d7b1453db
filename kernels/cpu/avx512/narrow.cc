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

namespace {

/// The largest value of each of four registers, in order.
inline __m128 largest(const __m512 (&of)[4]) {
  const auto both = [](__m512 a, __m512 b) {
    return _mm512_max_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  };
  const __m512 ab = both(of[0], of[1]), cd = both(of[2], of[3]);  // within 128 bits: a b a b, c d c d
  const __m512 abcd = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
  return _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

/// Two blocks' integers as bytes. Within 128 bits four of the first block's first half, of its second, and of the
/// second block's halves.
inline __m512i packed(const __m512i (&q)[4]) {
  return _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
}

/// Of the same: sums of each block's first half and of all of it, times kSumsFactor.
inline __m128i sums(__m512i bytes) {
  const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), bytes);
  const __m512i fours = _mm512_madd_epi16(pairs, _mm512_set1_epi16(kSumsFactor));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(fours), _mm512_extracti64x4_epi64(fours, 1));
  const __m128i halves = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return _mm_add_epi32(halves, _mm_maskz_shuffle_epi32(0b1010, halves, _MM_PERM_CCAA));
}

/// `count` blocks, at most four, from number b on.
[[gnu::always_inline]] inline void narrow_blocks(const float* x, const ActivationsOut& out, std::size_t b, int count) {
  __m512 v[4][2], magnitudes[4];
  for (int i = 0; i < 4; ++i) {
    for (int half = 0; half < 2; ++half)
      v[i][half] = i < count ? _mm512_loadu_ps(x + (b + i) * kActsBlock + 16 * half) : _mm512_setzero_ps();
    magnitudes[i] = _mm512_max_ps(_mm512_abs_ps(v[i][0]), _mm512_abs_ps(v[i][1]));
  }
  const __m128 absmax = largest(magnitudes), most = _mm_set1_ps(127);
  const __mmask8 real = _mm_cmp_ps_mask(absmax, _mm_set1_ps(kSmallestAbsmax), _CMP_GE_OQ);
  _mm_mask_storeu_ps(out.scales + b, __mmask8((1U << count) - 1), _mm_maskz_div_ps(real, absmax, most));
  const __m512 inverses = _mm512_castps128_ps512(_mm_maskz_div_ps(real, most, absmax));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (int i = 0; i < count; i += 2) {
    __m512i q[4];
    for (int half = 0; half < 4; ++half) {
      const __m512 inverse = _mm512_permutexvar_ps(_mm512_set1_epi32(i + half / 2), inverses);
      q[half] = _mm512_cvtps_epi32(_mm512_mul_ps(v[i + half / 2][half % 2], inverse));
    }
    const __m512i bytes = packed(q);
    const bool both = i + 1 < count;
    _mm512_mask_storeu_epi32(static_cast<std::int8_t*>(out.values) + (b + i) * kActsBlock, both ? 0xffff : 0xff,
                             _mm512_permutexvar_epi32(order, bytes));
    _mm_mask_storeu_epi32(out.sums + 2 * (b + i), both ? 0xf : 0x3, sums(bytes));
  }
}

}  // namespace

void narrow_fp32_int8(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  const std::size_t blocks = std::size_t(cols / kActsBlock), end = std::size_t(last) * blocks;
  std::size_t b = std::size_t(first) * blocks;
  for (; b + 4 <= end; b += 4) narrow_blocks(x, out, b, 4);
  if (b < end) narrow_blocks(x, out, b, int(end - b));
}

}  // namespace assay::kernels::cpu::avx512
