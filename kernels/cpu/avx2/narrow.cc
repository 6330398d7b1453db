#include "kernels/spec/narrow.h"

#include <immintrin.h>
#include <cstddef>

namespace assay::kernels::cpu::avx2 {
namespace {

/// Eight words, each the sum of four of the 32 bytes' words, to the sums of the first and second sixteen.
void store_sums(__m256i half, __m256i all, std::int32_t* out) {
  const __m256i pairs = _mm256_hadd_epi32(half, all);     // h01 h23 a01 a23 | h45 h67 a45 a67
  const __m256i quads = _mm256_hadd_epi32(pairs, pairs);  // h0-3 a0-3 .. | h4-7 a4-7 ..
  const __m128i sums = _mm_add_epi32(_mm256_castsi256_si128(quads), _mm256_extracti128_si256(quads, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_mullo_epi32(sums, _mm_set1_epi32(kSumsFactor)));
}

}  // namespace

void narrow_fp32_bf16(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::uint16_t*>(out.values);
  std::size_t i = std::size_t(first) * std::size_t(cols);
  const std::size_t end = std::size_t(last) * std::size_t(cols);
  const auto rounded = [](const float* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  };
  for (; i + 16 <= end; i += 16) {
    const __m256i packed = _mm256_packus_epi32(rounded(x + i), rounded(x + i + 8));  // 0-3 8-11 | 4-7 12-15
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + i), _mm256_permute4x64_epi64(packed, 0xd8));
  }
  for (; i < end; ++i) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, x + i, 4);
    values[i] = std::uint16_t((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
  }
}

void narrow_fp32_int8(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::int8_t*>(out.values);
  const std::size_t blocks = std::size_t(cols / kActsBlock);
  const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  for (std::size_t b = std::size_t(first) * blocks; b < std::size_t(last) * blocks; ++b) {
    __m256 v[4];
    __m256 largest = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_loadu_ps(x + b * kActsBlock + 8 * i);
      largest = _mm256_max_ps(largest, _mm256_and_ps(v[i], magnitude));
    }
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    const float absmax = _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
    const bool zero = absmax < kSmallestAbsmax;
    const __m256 inverse = _mm256_set1_ps(zero ? 0 : 127 / absmax);
    out.scales[b] = zero ? 0 : absmax / 127;
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    const __m256i half = _mm256_add_epi32(q[0], q[1]);
    store_sums(half, _mm256_add_epi32(half, _mm256_add_epi32(q[2], q[3])), out.sums + 2 * b);
    // Packing works within 128 bits: words come out as 0 2 4 6 1 3 5 7.
    const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(values + b * kActsBlock),
                        _mm256_permutevar8x32_epi32(packed, order));
  }
}

}  // namespace assay::kernels::cpu::avx2
