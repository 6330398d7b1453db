// Matrix-vector products of 8-bit weights with int8 activations, straight from llama.cpp's blocks or from I8. 64
// weights make one register, two blocks.
#include "../simd/gemv_int8_zmm.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

/// Of eight blocks of weights: the unsigned bytes of each pair, and each block's d.
struct Unpacked {
  __m512i quants[4];
  __m256 scales;
};

/// 128 is added to signed weights by their sign bit.
[[gnu::always_inline]] inline __m512i excess() { return _mm512_set1_epi8(char(0x80)); }

// Packings: unpack(p, blocks) so many blocks from p on, 1 to 8.

struct Q8_0 {
  static constexpr int kBytes = 34;
  [[gnu::always_inline]] static Unpacked unpack(const std::byte* p, int blocks) {
    Unpacked unpacked;
    const __m256i zero = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const std::byte* q = p + 2 + pair * 2 * kBytes;
      const __m256i low = blocks > 2 * pair ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)) : zero;
      const __m256i high =
          blocks > 2 * pair + 1 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q + kBytes)) : zero;
      unpacked.quants[pair] = _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), excess());
    }
    // Scales are picked out of the stream by 16-bit permutations, blocks being 17 such words: gathers, scalar
    // conversions and shuffles across lanes were too slow for the memory they wait for. Blocks 0 to 3 begin in the
    // first two registers, at words 0 17 34 51; 4 to 7 in the others, at 4 21 38 55.
    const int words = 17 * blocks;
    __m512i part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) part[i] = _mm512_maskz_loadu_epi16(first_bits(words - 32 * i), p + 64 * i);
    const __m512i at = _mm512_castsi128_si512(_mm_setr_epi16(0, 17, 34, 51, 4, 21, 38, 55));
    const __m512i first = _mm512_permutex2var_epi16(part[0], at, part[1]);
    const __m512i second = _mm512_permutex2var_epi16(part[2], at, part[3]);
    unpacked.scales =
        _mm256_cvtph_ps(_mm_blend_epi16(_mm512_castsi512_si128(first), _mm512_castsi512_si128(second), 0xf0));
    return unpacked;
  }
};

struct I8 {
  static constexpr int kBytes = 32;
  [[gnu::always_inline]] static Unpacked unpack(const std::byte* p, int blocks) {
    Unpacked unpacked;
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const __mmask16 mask = __mmask16(first_bits(8 * (blocks - 2 * pair)));
      unpacked.quants[pair] = _mm512_xor_si512(_mm512_maskz_loadu_epi32(mask, p + 64 * pair), excess());
    }
    unpacked.scales = _mm256_set1_ps(1);
    return unpacked;
  }
};

/// See simd/gemv_int8_zmm.h.
template <class Packing>
struct Pairs {
  static constexpr int kRows = 1, kGroupBytes = kGroupBlocks * Packing::kBytes;
  static constexpr std::size_t row_bytes(int cols) { return std::size_t(cols / 32) * Packing::kBytes; }

  struct Group {
    __m512i x[4], start[4];
    __m256 scales;
  };
  [[gnu::always_inline]] static Group group_of(const std::int8_t* x, const float* scales, int blocks) {
    Group group;
    const __m512i zero = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      group.x[pair] = load_pair(x + 64 * pair, blocks - 2 * pair);
      group.start[pair] = _mm512_sub_epi32(zero, _mm512_dpbusd_epi32(zero, excess(), group.x[pair]));
    }
    group.scales = load_scales(scales, blocks);
    return group;
  }
  [[gnu::always_inline]] static __m512 add_group(__m512 sum, const std::byte* p, const Group& group, int blocks) {
    const Unpacked w = Packing::unpack(p, blocks);
    const __m512 scales = _mm512_castps256_ps512(_mm256_mul_ps(w.scales, group.scales));
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const __m512i products = _mm512_dpbusd_epi32(group.start[pair], w.quants[pair], group.x[pair]);
      sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), spread<8>(scales, 2 * pair), sum);
    }
    return sum;
  }
};

}  // namespace

void gemv_q8_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Pairs<Q8_0>>(w, x, y, first, last);
}
void gemv_i8_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Pairs<I8>>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512_vnni
