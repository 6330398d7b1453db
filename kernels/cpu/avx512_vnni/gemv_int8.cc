// Matrix-vector products with int8 activations, straight from llama.cpp's blocks. 64 weights make one register whose
// bytes stand in the order of x; their excess over the signed values (8, 128 or 32) is taken off once for all rows, by
// starting each integer sum at minus excess times x. Four rows at a time share x, its scales and those starts.
//
// Scales of eight blocks are picked out of the stream by one or two 16-bit permutations (blocks are 9 or 17 such words)
// in the order 0 2 4 6 | 0 2 4 6 | 1 3 5 7 | 1 3 5 7, so that a shuffle within 128 bits spreads those of a pair of
// blocks to its lanes. Gathers, scalar conversions and shuffles across lanes were too slow for the memory they wait
// for.
#include "kernels/spec/gemv.h"

#include <immintrin.h>

#include "../simd/prefetch.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

/// x of a group of eight blocks (or fewer); what lacks is 0 and adds nothing.
struct Group {
  __m512i x[4], start[4];
  __m512 scales;  ///< in the order above
};

/// The first `left` bits of a mask of 32.
[[gnu::always_inline]] inline __mmask32 first_bits(int left) {
  return left >= 32 ? ~0U : left <= 0 ? 0U : (1U << left) - 1U;
}

/// Of eight blocks of weights: the unsigned bytes of each pair in the order of x, and their d in the order above.
struct Unpacked {
  __m512i quants[4];
  __m512 scales;
};

// Formats: unpack(p, blocks) so many blocks from p on, 1 to 8; excess() is what the bytes are too large by.

struct Q4_0 {
  static constexpr int kBytes = 18, kRows = 4;
  static __m512i excess() {  // high nibbles stay where they are, 16 times too large, excess too
    return _mm512_broadcast_i64x4(_mm256_set_m128i(_mm_set1_epi8(char(0x80)), _mm_set1_epi8(8)));
  }
  static __m512 unshift(__m512 scales) { return _mm512_mask_mul_ps(scales, 0xf0f0, scales, _mm512_set1_ps(1.0F / 16)); }
  /// Words first .. first + 7 twice, then words second .. second + 7 twice.
  static __m512i twice(int first, int second) {
    const __m128i count = _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i low = _mm256_broadcastsi128_si256(_mm_add_epi16(count, _mm_set1_epi16(short(first))));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_add_epi16(count, _mm_set1_epi16(short(second))));
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }
  [[gnu::always_inline]] static Unpacked unpack(const std::byte* p, int blocks) {
    // Eight blocks are 72 words: block b's scale is word 9 b, its nibbles the eight words after that.
    const int words = 9 * blocks;
    const __m512i a = _mm512_maskz_loadu_epi16(first_bits(words), p);
    const __m512i b = _mm512_maskz_loadu_epi16(first_bits(words - 32), p + 64);
    const __m512i c = _mm512_castsi128_si512(blocks >= 8 ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 128))
                                                         : _mm_setzero_si128());
    const __m512i masks = _mm512_broadcast_i64x4(_mm256_set_m128i(_mm_set1_epi8(char(0xf0)), _mm_set1_epi8(0x0f)));
    const __m512i at =
        _mm512_castsi256_si512(_mm256_setr_epi16(0, 18, 36, 54, 0, 18, 36, 54, 9, 27, 45, 63, 9, 27, 45, 63));
    return {
        .quants = {_mm512_and_si512(_mm512_permutexvar_epi16(twice(1, 10), a), masks),
                   _mm512_and_si512(_mm512_permutex2var_epi16(a, twice(19, 28), b), masks),
                   _mm512_and_si512(_mm512_permutexvar_epi16(twice(37 - 32, 46 - 32), b), masks),
                   _mm512_and_si512(_mm512_permutex2var_epi16(b, twice(55 - 32, 64 - 32), c), masks)},
        .scales = _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_permutex2var_epi16(a, at, b))),
    };
  }
};

struct Signed {  // int8 weights, 128 added by their sign bit
  static constexpr int kRows = 1;
  static __m512i excess() { return _mm512_set1_epi8(char(0x80)); }
  static __m512 unshift(__m512 scales) { return scales; }
};

struct Q8_0 : Signed {
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
    const int words = 17 * blocks;
    __m512i part[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) part[i] = _mm512_maskz_loadu_epi16(first_bits(words - 32 * i), p + 64 * i);
    // Blocks 0 to 3 begin in the first two registers, at words 0 17 34 51; 4 to 7 in the others, at 4 21 38 55.
    const __m512i at =
        _mm512_castsi256_si512(_mm256_setr_epi16(0, 34, 4, 38, 0, 34, 4, 38, 17, 51, 21, 55, 17, 51, 21, 55));
    const __m512i first = _mm512_permutex2var_epi16(part[0], at, part[1]);
    const __m512i second = _mm512_permutex2var_epi16(part[2], at, part[3]);
    unpacked.scales = _mm512_cvtph_ps(_mm512_castsi512_si256(_mm512_mask_blend_epi16(0xcccc, first, second)));
    return unpacked;
  }
};

struct I8 : Signed {
  static constexpr int kBytes = 32;
  [[gnu::always_inline]] static Unpacked unpack(const std::byte* p, int blocks) {
    Unpacked unpacked;
#pragma GCC unroll 4
    for (int pair = 0; pair < 4; ++pair) {
      const __mmask16 mask = __mmask16(first_bits(8 * (blocks - 2 * pair)));
      unpacked.quants[pair] = _mm512_xor_si512(_mm512_maskz_loadu_epi32(mask, p + 64 * pair), excess());
    }
    unpacked.scales = _mm512_set1_ps(1);
    return unpacked;
  }
};

template <class Format>
[[gnu::always_inline]] inline Group group_of(const std::int8_t* x, const float* scales, int blocks) {
  Group group;
  for (int pair = 0; pair < 4; ++pair) {
    const int left = blocks - 2 * pair;
    const __mmask64 mask = left >= 2 ? ~std::uint64_t{0} : left == 1 ? 0xffffffffU : 0;
    group.x[pair] = _mm512_maskz_loadu_epi8(mask, x + 64 * pair);
    group.start[pair] = _mm512_sub_epi32(_mm512_setzero_si512(),
                                         _mm512_dpbusd_epi32(_mm512_setzero_si512(), Format::excess(), group.x[pair]));
  }
  const __mmask8 mask = blocks >= 8 ? 0xffU : __mmask8((1U << blocks) - 1U);
  const __m256 eight = _mm256_maskz_loadu_ps(mask, scales);
  const __m512i order = _mm512_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6, 1, 3, 5, 7, 1, 3, 5, 7);
  group.scales = Format::unshift(_mm512_permutexvar_ps(order, _mm512_castps256_ps512(eight)));
  return group;
}

template <class Format>
[[gnu::always_inline]] inline __m512 add_group(__m512 sum, const std::byte* p, const Group& group, int blocks) {
  const Unpacked w = Format::unpack(p, blocks);
  const __m512 scales = _mm512_mul_ps(w.scales, group.scales);
  const auto add = [&](int pair, __m512 spread) __attribute__((always_inline)) {
    const __m512i products = _mm512_dpbusd_epi32(group.start[pair], w.quants[pair], group.x[pair]);
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products), spread, sum);
  };
  add(0, _mm512_permute_ps(scales, 0x00));
  add(1, _mm512_permute_ps(scales, 0x55));
  add(2, _mm512_permute_ps(scales, 0xaa));
  add(3, _mm512_permute_ps(scales, 0xff));
  return sum;
}

/// Each of four registers' sum of lanes; a register's order is the same whichever of the four it is.
[[gnu::always_inline]] inline __m128 totals(__m512 a, __m512 b, __m512 c, __m512 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  const __m512d low = _mm512_unpacklo_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512d high = _mm512_unpackhi_pd(_mm512_castps_pd(ab), _mm512_castps_pd(cd));
  const __m512 all = _mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high));
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
  return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

[[gnu::always_inline]] inline void fetch(const std::byte* p, int bytes) {
  for (int line = 0; line < bytes; line += 64) fetch_line(p + line);
}

template <class Format, int kRows>
void some_rows(const Weights& w, const Activations& x, float* y, int row) {
  static_assert(kRows == 1 || kRows == 4, "as totals() sums them");
  const int blocks = w.cols / 32;
  const std::size_t bytes = std::size_t(blocks) * Format::kBytes;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  const std::byte* rows[kRows];
  for (int r = 0; r < kRows; ++r) rows[r] = w.data + std::size_t(row + r) * bytes;
  __m512 sums[kRows];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  const std::size_t ahead = prefetch_distance(kRows * bytes);
  int b = 0;
  for (; b + 8 <= blocks; b += 8) {
    const Group group = group_of<Format>(values + 32 * b, x.scales + b, 8);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const std::byte* p = rows[r] + b * Format::kBytes;
      fetch(p + ahead, 8 * Format::kBytes);
      sums[r] = add_group<Format>(sums[r], p, group, 8);
    }
  }
  const bool rest = b < blocks;
  Group group;
  if (rest) group = group_of<Format>(values + 32 * b, x.scales + b, blocks - b);
  __m512 whole[kRows];  // a copy: an address taken below would keep all sums in memory above
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    whole[r] = sums[r];
    if (!rest) continue;
    const std::byte* p = rows[r] + b * Format::kBytes;
    fetch(p + ahead, 7 * Format::kBytes);  // the most that is left: a fixed number of lines is faster
    whole[r] = add_group<Format>(whole[r], p, group, blocks - b);
  }
  const __m128 scale = _mm_set1_ps(w.scale);
  if constexpr (kRows == 4)
    _mm_storeu_ps(y + row, _mm_mul_ps(totals(whole[0], whole[1], whole[2], whole[3]), scale));
  else
    _mm_store_ss(y + row, _mm_mul_ss(totals(whole[0], whole[0], whole[0], whole[0]), scale));
}

template <class Format>
void run(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  for (; r + Format::kRows <= last; r += Format::kRows) some_rows<Format, Format::kRows>(w, x, y, r);
  for (; r < last; ++r) some_rows<Format, 1>(w, x, y, r);
}

}  // namespace

void gemv_q4_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  run<Q4_0>(w, x, y, first, last);
}
void gemv_q8_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  run<Q8_0>(w, x, y, first, last);
}
void gemv_i8_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  run<I8>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512_vnni
