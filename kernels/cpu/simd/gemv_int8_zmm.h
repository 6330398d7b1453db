// How matrix-vector kernels with int8 activations go through rows on 512-bit registers: 256 columns (a group) of
// some rows after another, so that rows share what is made of x. A Format says how a group of its weights is
// multiplied:
//   kRows, kGroupBytes, row_bytes(cols)
//   Group, group_of(x, scales, blocks): x of so many blocks of 32 columns, 1 to 8
//   add_group(sum, weights, group, blocks): sum and what the group adds to it
// Weights are unsigned bytes in registers; what they are too large by (the excess: 8, 32 or 128) is taken off once for
// all rows, by starting each integer sum at minus excess times x. Internal linkage.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/spec/gemv.h"
#include "prefetch.h"

namespace assay::kernels::cpu {
namespace {

constexpr int kGroupBlocks = 8;

/// The first `left` bits of a mask of 32.
[[gnu::always_inline]] inline __mmask32 first_bits(int left) {
  return left >= 32 ? ~0U : left <= 0 ? 0U : (1U << left) - 1U;
}

/// x of a pair of blocks, of which so many are there; what lacks is 0 and adds nothing.
[[gnu::always_inline]] inline __m512i load_pair(const std::int8_t* x, int blocks) {
  return _mm512_maskz_loadu_epi8(blocks >= 2 ? ~std::uint64_t{0} : blocks == 1 ? 0xffffffffU : 0U, x);
}

[[gnu::always_inline]] inline __m256 load_scales(const float* scales, int blocks) {
  return _mm256_maskz_loadu_ps(__mmask8(first_bits(blocks)), scales);
}

/// Lanes first, ... of scales, each `kTimes` times.
template <int kTimes>
[[gnu::always_inline]] inline __m512 spread(__m512 scales, int first) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i from = _mm512_srli_epi32(lane, kTimes == 8 ? 3 : kTimes == 4 ? 2 : 1);
  return _mm512_permutexvar_ps(_mm512_add_epi32(from, _mm512_set1_epi32(first)), scales);
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

template <class Format, int kRows>
[[gnu::always_inline]] inline void add_to_rows(__m512 (&sums)[kRows], const std::byte* p, std::size_t row_bytes,
                                               std::size_t ahead, const std::int8_t* x, const float* scales,
                                               int blocks) {
  const auto group = Format::group_of(x, scales, blocks);
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r, p += row_bytes) {
    // Of a last group that is not whole, too: a fixed number of lines is faster than the right one.
    for (int line = 0; line < Format::kGroupBytes; line += 64) fetch_line(p + ahead + line);
    sums[r] = Format::add_group(sums[r], p, group, blocks);
  }
}

template <class Format, int kRows>
void gemv_rows_int8(const Weights& w, const Activations& x, float* y, int row) {
  static_assert(kRows == 1 || kRows == 4, "as totals() sums them");
  const std::size_t row_bytes = Format::row_bytes(w.cols);
  const std::size_t ahead = prefetch_distance(kRows * row_bytes);
  const std::byte* p = w.data + std::size_t(row) * row_bytes;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  const float* scales = x.scales;
  __m512 sums[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) sums[r] = _mm512_setzero_ps();
  int left = w.cols / 32;
  for (; left >= kGroupBlocks; left -= kGroupBlocks) {
    add_to_rows<Format>(sums, p, row_bytes, ahead, values, scales, kGroupBlocks);
    p += Format::kGroupBytes;
    values += 32 * kGroupBlocks;
    scales += kGroupBlocks;
  }
  if (left > 0) add_to_rows<Format>(sums, p, row_bytes, ahead, values, scales, left);
  const __m128 scale = _mm_set1_ps(w.scale);
  if constexpr (kRows == 4)
    _mm_storeu_ps(y + row, _mm_mul_ps(totals(sums[0], sums[1], sums[2], sums[3]), scale));
  else
    _mm_store_ss(y + row, _mm_mul_ss(totals(sums[0], sums[0], sums[0], sums[0]), scale));
}

template <class Format>
[[maybe_unused]] void gemv_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  for (; r + Format::kRows <= last; r += Format::kRows) gemv_rows_int8<Format, Format::kRows>(w, x, y, r);
  for (; r < last; ++r) gemv_rows_int8<Format, 1>(w, x, y, r);
}

}  // namespace
}  // namespace assay::kernels::cpu
