// How matrix-vector kernels with int8 activations go through rows on 512-bit registers, 256 columns (a group) after
// another. What is made of x is kept for all rows where the first-level cache holds it, and rows are read one behind
// the other: a single stream, which the hardware foresees, too. Of more columns it is made again for every kRows rows,
// which share it. A Format says how a group of its weights is multiplied:
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

/// A group of weights; what comes later in their stream is asked for.
template <class Format>
[[gnu::always_inline]] inline __m512 add_fetching(__m512 sum, const std::byte* p, std::size_t ahead,
                                                  const typename Format::Group& group, int blocks) {
  // Of a last group that is not whole, too: a fixed number of lines is faster than the right one.
  for (int line = 0; line < Format::kGroupBytes; line += 64) fetch_line(p + ahead + line);
  return Format::add_group(sum, p, group, blocks);
}

template <int kRows>
[[gnu::always_inline]] inline void store_rows(const __m512 (&sums)[kRows], float scale, float* y) {
  static_assert(kRows == 1 || kRows == 4, "as totals() sums them");
  if constexpr (kRows == 4)
    _mm_storeu_ps(y, _mm_mul_ps(totals(sums[0], sums[1], sums[2], sums[3]), _mm_set1_ps(scale)));
  else
    _mm_store_ss(y, _mm_mul_ss(totals(sums[0], sums[0], sums[0], sums[0]), _mm_set_ss(scale)));
}

/// Rows one behind the other. @param groups  of all columns
template <class Format, int kRows>
void gemv_stream_int8(const Weights& w, const typename Format::Group* groups, float* y, int row) {
  const std::size_t row_bytes = Format::row_bytes(w.cols);
  const std::byte* p = w.data + std::size_t(row) * row_bytes;
  const int whole = w.cols / 32 / kGroupBlocks, left = w.cols / 32 % kGroupBlocks;
  __m512 sums[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r, p += row_bytes) {
    __m512 sum = _mm512_setzero_ps();
    const std::byte* at = p;
    for (int g = 0; g < whole; ++g, at += Format::kGroupBytes)
      sum = add_fetching<Format>(sum, at, kStreamAhead, groups[g], kGroupBlocks);
    if (left > 0) sum = add_fetching<Format>(sum, at, kStreamAhead, groups[whole], left);
    sums[r] = sum;
  }
  store_rows(sums, w.scale, y + row);
}

/// Rows side by side, group by group.
template <class Format, int kRows>
void gemv_rows_int8(const Weights& w, const Activations& x, float* y, int row) {
  const std::size_t row_bytes = Format::row_bytes(w.cols);
  const std::size_t ahead = kRows == 1 ? kStreamAhead : prefetch_distance(kRows * row_bytes);
  const std::byte* p = w.data + std::size_t(row) * row_bytes;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  __m512 sums[kRows];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) sums[r] = _mm512_setzero_ps();
  const auto add = [&](int block, int blocks) __attribute__((always_inline)) {  // so that a whole group's 8 is known
    const auto group = Format::group_of(values + 32 * block, x.scales + block, blocks);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      sums[r] = add_fetching<Format>(sums[r], p + std::size_t(r) * row_bytes, ahead, group, blocks);
    p += Format::kGroupBytes;
  };
  int block = 0;
  for (; block + kGroupBlocks <= w.cols / 32; block += kGroupBlocks) add(block, kGroupBlocks);
  if (block < w.cols / 32) add(block, w.cols / 32 - block);
  store_rows(sums, w.scale, y + row);
}

template <class Format>
[[maybe_unused]] void gemv_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  using Group = typename Format::Group;
  constexpr int kMostGroups = kMostKept / sizeof(Group);
  const int blocks = w.cols / 32, groups = (blocks + kGroupBlocks - 1) / kGroupBlocks;
  int r = first;
  if (groups > kMostGroups) {
    for (; r + Format::kRows <= last; r += Format::kRows) gemv_rows_int8<Format, Format::kRows>(w, x, y, r);
    for (; r < last; ++r) gemv_rows_int8<Format, 1>(w, x, y, r);
    return;
  }
  alignas(Group) std::byte kept[kMostGroups * sizeof(Group)];  // not set to anything first
  auto* const of_x = reinterpret_cast<Group*>(kept);
  for (int g = 0; g < groups; ++g) {
    const int b = g * kGroupBlocks, left = blocks - b;
    of_x[g] = Format::group_of(static_cast<const std::int8_t*>(x.values) + 32 * b, x.scales + b,
                               left < kGroupBlocks ? left : kGroupBlocks);
  }
  for (; r + 4 <= last; r += 4) gemv_stream_int8<Format, 4>(w, of_x, y, r);
  for (; r < last; ++r) gemv_stream_int8<Format, 1>(w, of_x, y, r);
}

}  // namespace
}  // namespace assay::kernels::cpu
