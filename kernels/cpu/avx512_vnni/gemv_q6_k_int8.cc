// Matrix-vector product of Q6_K weights with int8 activations, straight from llama.cpp's blocks of 256.
#include "../simd/gemv_int8_zmm.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

/// 16-bit shifts that move bytes' bits 2 j and 2 j + 1 to bits 4 and 5, for the j of a register's lower and upper half.
[[gnu::always_inline]] inline __m512i halves(short low, short high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set1_epi16(low)), _mm256_set1_epi16(high), 1);
}

/// See simd/gemv_int8_zmm.h. A group is a block.
struct Q6_K {
  static constexpr int kRows = 4, kGroupBytes = sizeof(BlockQ6_K);
  static constexpr std::size_t row_bytes(int cols) { return std::size_t(cols / 256) * sizeof(BlockQ6_K); }

  struct Group {
    __m512i x[4], start[4];
    __m512 scales;  ///< each twice: a block of x has two scales of weights
  };
  [[gnu::always_inline]] static Group group_of(const std::int8_t* x, const float* scales, int) {
    Group group;
    const __m512i zero = _mm512_setzero_si512(), excess = _mm512_set1_epi8(32);
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      group.x[k] = _mm512_loadu_si512(x + 64 * k);
      group.start[k] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, excess, group.x[k]));
    }
    group.scales = spread<2>(_mm512_castps256_ps512(_mm256_loadu_ps(scales)), 0);
    return group;
  }

  [[gnu::always_inline]] static __m512 add_group(__m512 sum, const std::byte* p, const Group& group, int) {
    const auto& block = *reinterpret_cast<const BlockQ6_K*>(p);
    const __m512i four_bits = _mm512_set1_epi8(0x0f), two_bits = _mm512_set1_epi8(0x30);
    const __m512 d = _mm512_broadcastss_ps(_mm_cvtph_ps(_mm_cvtsi32_si128(block.d)));
    const __m512i integers = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scales)));
    const __m512 scales = _mm512_mul_ps(_mm512_cvtepi32_ps(integers), _mm512_mul_ps(d, group.scales));
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
        const __m512i products = _mm512_dpbusd_epi32(group.start[k], q[i], group.x[k]);
        sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), spread<4>(scales, 4 * k), sum);
      }
    }
    return sum;
  }
};

}  // namespace

void gemv_q6_k_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Q6_K>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512_vnni
