// Matrix-vector product of Q6_K weights with int8 activations, straight from llama.cpp's blocks of 256. As in
// gemv_int8.cc, the unsigned six bits' excess of 32 is taken off by where each integer sum starts, and four rows share
// x.
#include "kernels/spec/gemv.h"

#include <immintrin.h>

#include <cstddef>
#include "../simd/prefetch.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

/// Of 64 values' sixteen sums, four belong to each scale: which of the block's 16 scales each lane takes.
[[gnu::always_inline]] inline __m512 spread(__m512 scales, int quarter) {
  const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_ps(_mm512_add_epi32(lane, _mm512_set1_epi32(4 * quarter)), scales);
}

/// 16-bit shifts that move bytes' bits 2 j and 2 j + 1 to bits 4 and 5, for the j of a register's lower and upper half.
[[gnu::always_inline]] inline __m512i halves(short low, short high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set1_epi16(low)), _mm256_set1_epi16(high), 1);
}

void one_row(const Weights& w, const Activations& x, float* y, int row) {
  const int blocks = w.cols / 256;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  const auto* matrix = reinterpret_cast<const BlockQ6_K*>(w.data) + std::size_t(row) * std::size_t(blocks);
  const __m512i four_bits = _mm512_set1_epi8(0x0f), two_bits = _mm512_set1_epi8(0x30);
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const std::size_t ahead = prefetch_distance(1);
  __m512 sum = _mm512_setzero_ps();
  for (int b = 0; b < blocks; ++b) {
    __m512i xs[4], start[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      xs[k] = _mm512_loadu_si512(values + 256 * b + 64 * k);
      start[k] = _mm512_sub_epi32(_mm512_setzero_si512(),
                                  _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(32), xs[k]));
    }
    const __m512 x_scales = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(x.scales + 8 * b)));
    const BlockQ6_K& block = matrix[b];
    const auto* next = reinterpret_cast<const std::byte*>(&block) + ahead;
    for (int line = 0; line < int(sizeof(BlockQ6_K)); line += 64) fetch_line(next + line);
    const __m512 d = _mm512_cvtph_ps(_mm256_set1_epi16(short(block.d)));
    const __m512i integers = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scales)));
    const __m512 scales = _mm512_mul_ps(_mm512_cvtepi32_ps(integers), _mm512_mul_ps(d, x_scales));
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const __m512i low = _mm512_loadu_si512(block.low + 64 * half);
      const __m512i high =
          _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(block.high + 32 * half)));
      const __m512i q[2] = {
          // low nibble or (high & two_bits): 0xf8 is a | (b & c)
          _mm512_ternarylogic_epi32(_mm512_and_si512(low, four_bits), _mm512_sllv_epi16(high, halves(4, 2)), two_bits,
                                    0xf8),
          _mm512_ternarylogic_epi32(_mm512_and_si512(_mm512_srli_epi16(low, 4), four_bits),
                                    _mm512_srlv_epi16(high, halves(0, 2)), two_bits, 0xf8),
      };
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const int k = 2 * half + i;
        const __m512i products = _mm512_dpbusd_epi32(start[k], q[i], xs[k]);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), spread(scales, k), sum);
      }
    }
  }
  y[row] = _mm512_reduce_add_ps(sum);
}

}  // namespace

void gemv_q6_k_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  for (int r = first; r < last; ++r) one_row(w, x, y, r);
}

}  // namespace assay::kernels::cpu::avx512_vnni
