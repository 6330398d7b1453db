// Matrix-vector product of Q4_0 weights with int8 activations, straight from llama.cpp's blocks. The nibbles of four
// blocks make one register: its low nibbles are the blocks' first halves, its high nibbles their second halves, and
// both are summed into the same lanes, four to a block, before anything is converted or scaled.
#include "../simd/gemv_int8_zmm.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

/// Words (16 bits) first to first + 7, first + 9 to first + 16, first + 18 ...: four blocks' nibbles.
[[gnu::always_inline]] inline __m512i four_blocks(int first) {
  const __m128i count = _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7);
  const auto from = [&](int at) { return _mm_add_epi16(count, _mm_set1_epi16(short(at))); };
  const __m256i low = _mm256_set_m128i(from(first + 9), from(first));
  const __m256i high = _mm256_set_m128i(from(first + 27), from(first + 18));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/// See simd/gemv_int8_zmm.h.
struct Q4_0 {
  static constexpr int kRows = 4, kGroupBytes = kGroupBlocks * sizeof(BlockQ4_0);
  static constexpr std::size_t row_bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ4_0); }

  /// Of blocks 0 to 3 and 4 to 7: their first and their second halves.
  struct Group {
    __m512i first[2], second[2], start[2];
    __m256 scales;
  };
  [[gnu::always_inline]] static Group group_of(const std::int8_t* x, const float* scales, int blocks) {
    Group group;
    const __m512i zero = _mm512_setzero_si512(), excess = _mm512_set1_epi8(8);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const __m512i low = load_pair(x + 128 * i, blocks - 4 * i);
      const __m512i high = load_pair(x + 128 * i + 64, blocks - 4 * i - 2);
      group.first[i] = _mm512_shuffle_i64x2(low, high, 0x88);   // 128 bits each: 0 and 2 of both
      group.second[i] = _mm512_shuffle_i64x2(low, high, 0xdd);  // 1 and 3
      const __m512i products = _mm512_dpbusd_epi32(zero, excess, group.first[i]);
      group.start[i] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(products, excess, group.second[i]));
    }
    group.scales = load_scales(scales, blocks);
    return group;
  }

  [[gnu::always_inline]] static __m512 add_group(__m512 sum, const std::byte* p, const Group& group, int blocks) {
    // Eight blocks are 72 words: block b's d is word 9 b, its nibbles the eight words after that.
    const int words = 9 * blocks;
    const __m512i a = _mm512_maskz_loadu_epi16(first_bits(words), p);
    const __m512i b = _mm512_maskz_loadu_epi16(first_bits(words - 32), p + 64);
    const __m512i c = _mm512_castsi128_si512(blocks >= 8 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 128))
                                                         : _mm_setzero_si128());
    const __m512i at = _mm512_castsi128_si512(_mm_setr_epi16(0, 9, 18, 27, 36, 45, 54, 63));
    const __m256 d = _mm256_cvtph_ps(_mm512_castsi512_si128(_mm512_permutex2var_epi16(a, at, b)));
    const __m512 scales = _mm512_castps256_ps512(_mm256_mul_ps(d, group.scales));
    const __m512i nibbles[2] = {_mm512_permutex2var_epi16(a, four_blocks(1), b),
                                _mm512_permutex2var_epi16(b, four_blocks(37 - 32), c)};
    const __m512i four_bits = _mm512_set1_epi8(0x0f);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const __m512i low = _mm512_and_si512(nibbles[i], four_bits);
      const __m512i high = _mm512_and_si512(_mm512_srli_epi16(nibbles[i], 4), four_bits);
      const __m512i products =
          _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(group.start[i], low, group.first[i]), high, group.second[i]);
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), spread<4>(scales, 4 * i), sum);
    }
    return sum;
  }
};

}  // namespace

void gemv_q4_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Q4_0>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512_vnni
