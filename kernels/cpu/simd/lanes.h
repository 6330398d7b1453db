// One register of floats, the widest that the including source may use, and the elementary functions on it: kernels of
// AVX2 and AVX-512 are one text over this. Internal linkage on purpose: see spec/operands.h.
// Errors, in units in the last place, held by tests/kernels/elementary_test.cc: exponential 1 (seen through the
// sigmoid), tangent 3 (hyperbolic; the C library's: 2.2).
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include "zmm.h"
#else
#include "ymm.h"
#endif

namespace assay::kernels::cpu {
namespace {

#if defined(__AVX512F__)

constexpr int kWidth = 16;
using Lanes = __m512;
using Keep = __mmask16;  ///< which lanes

inline Lanes zero() { return _mm512_setzero_ps(); }
inline Lanes all(float x) { return _mm512_set1_ps(x); }
inline Lanes load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Lanes x) { _mm512_storeu_ps(p, x); }
/// The first `count` lanes, the rest 0 or left alone; count < kWidth.
inline Lanes load(const float* p, int count) { return _mm512_maskz_loadu_ps(Keep((1U << count) - 1), p); }
inline void store(float* p, Lanes x, int count) { _mm512_mask_storeu_ps(p, Keep((1U << count) - 1), x); }
inline Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
inline Lanes subtract(Lanes a, Lanes b) { return _mm512_sub_ps(a, b); }
inline Lanes multiply(Lanes a, Lanes b) { return _mm512_mul_ps(a, b); }
inline Lanes divide(Lanes a, Lanes b) { return _mm512_div_ps(a, b); }
inline Lanes fused(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }  ///< a b + c
inline Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
inline Lanes smaller(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
inline float largest(Lanes x) { return _mm512_reduce_max_ps(x); }
/// Lanes of b where |x| < bound, else of a.
inline Lanes choose_small(Lanes x, float bound, Lanes a, Lanes b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(x), all(bound), _CMP_LT_OQ), a, b);
}
/// Lane i where from <= i < to, else `rest`.
inline Lanes keep_between(Lanes x, int from, int to, float rest) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const Keep kept =
      _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(from)) & _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32(to));
  return _mm512_mask_mov_ps(all(rest), kept, x);
}
inline Lanes nearest(Lanes x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Lanes times_power(Lanes x, Lanes n) { return _mm512_scalef_ps(x, n); }  ///< x 2^n
inline Lanes widen_bf16(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
/// To bfloat16 and back, nearest even. Not for NaN.
inline Lanes rounded_bf16(Lanes x) {
  const __m512i bits = _mm512_castps_si512(x),
                odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(-0x10000)));
}
inline Lanes widen_i8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
/// Lane i is the sum of x[i]'s lanes, for kWidth registers.
inline Lanes sums(const Lanes* x) {
  Lanes pairs[8], fours[4];
  for (int i = 0; i < 8; ++i)
    pairs[i] = add(_mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]));
  for (int i = 0; i < 4; ++i) {
    const __m512d a = _mm512_castps_pd(pairs[2 * i]), b = _mm512_castps_pd(pairs[2 * i + 1]);
    fours[i] = add(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
  }
  const Lanes low = add(_mm512_shuffle_f32x4(fours[0], fours[1], 0x88), _mm512_shuffle_f32x4(fours[0], fours[1], 0xdd));
  const Lanes high =
      add(_mm512_shuffle_f32x4(fours[2], fours[3], 0x88), _mm512_shuffle_f32x4(fours[2], fours[3], 0xdd));
  return add(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
}

#else

constexpr int kWidth = 8;
using Lanes = __m256;

inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Lanes zero() { return _mm256_setzero_ps(); }
inline Lanes all(float x) { return _mm256_set1_ps(x); }
inline Lanes load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Lanes x) { _mm256_storeu_ps(p, x); }
/// The first `count` lanes, the rest 0 or left alone; count < kWidth.
inline Lanes load(const float* p, int count) { return _mm256_maskload_ps(p, first_lanes(count)); }
inline void store(float* p, Lanes x, int count) { _mm256_maskstore_ps(p, first_lanes(count), x); }
inline Lanes add(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
inline Lanes subtract(Lanes a, Lanes b) { return _mm256_sub_ps(a, b); }
inline Lanes multiply(Lanes a, Lanes b) { return _mm256_mul_ps(a, b); }
inline Lanes divide(Lanes a, Lanes b) { return _mm256_div_ps(a, b); }
inline Lanes fused(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }  ///< a b + c
inline Lanes larger(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
inline Lanes smaller(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
inline float largest(Lanes x) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
/// Lanes of b where |x| < bound, else of a.
inline Lanes choose_small(Lanes x, float bound, Lanes a, Lanes b) {
  const Lanes magnitude = _mm256_andnot_ps(all(-0.0F), x);
  return _mm256_blendv_ps(a, b, _mm256_cmp_ps(magnitude, all(bound), _CMP_LT_OQ));
}
/// Lane i where from <= i < to, else `rest`.
inline Lanes keep_between(Lanes x, int from, int to, float rest) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(from), lane);
  const __m256i kept = _mm256_andnot_si256(before, _mm256_cmpgt_epi32(_mm256_set1_epi32(to), lane));
  return _mm256_blendv_ps(all(rest), x, _mm256_castsi256_ps(kept));
}
inline Lanes nearest(Lanes x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// x 2^n, in two steps, so that neither overflows alone; |n| <= 252.
inline Lanes times_power(Lanes x, Lanes n) {
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  x = multiply(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23)));
  return multiply(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
}
inline Lanes widen_bf16(const uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
/// To bfloat16 and back, nearest even. Not for NaN.
inline Lanes rounded_bf16(Lanes x) {
  const __m256i bits = _mm256_castps_si256(x),
                odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(-0x10000)));
}
inline Lanes widen_i8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
/// Lane i is the sum of x[i]'s lanes, for kWidth registers.
inline Lanes sums(const Lanes* x) {
  Lanes pairs[4], fours[2];
  for (int i = 0; i < 4; ++i)
    pairs[i] = add(_mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]), _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]));
  for (int i = 0; i < 2; ++i) {
    const __m256d a = _mm256_castps_pd(pairs[2 * i]), b = _mm256_castps_pd(pairs[2 * i + 1]);
    fours[i] = add(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
  }
  return add(_mm256_permute2f128_ps(fours[0], fours[1], 0x20), _mm256_permute2f128_ps(fours[0], fours[1], 0x31));
}

#endif

/// Calls with each register's first column, and how many columns it holds where that is fewer than kWidth, else 0.
template <class Use>
inline void each_register(int cols, Use use) {
  int c = 0;
  for (; c + kWidth <= cols; c += kWidth) use(c, 0);
  if (c < cols) use(c, cols - c);
}
/// Like load(p, count), the other lanes `rest`.
inline Lanes load_else(const float* p, int count, float rest) {
  if (count == 0) return load(p);
  alignas(64) float values[kWidth];
  store(values, all(rest));
  store(values, load(p, count), count);
  return load(values);
}
inline Lanes load_some(const float* p, int count) { return count == 0 ? load(p) : load(p, count); }
inline void store_some(float* p, Lanes x, int count) {
  if (count == 0)
    store(p, x);
  else
    store(p, x, count);
}

inline float first(Lanes x) {
#if defined(__AVX512F__)
  return _mm512_cvtss_f32(x);
#else
  return _mm256_cvtss_f32(x);
#endif
}
/// The sum of a register's lanes, always in the same order.
inline float sum(Lanes x) {
#if defined(__AVX512F__)
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
#else
  const __m256 eight = x;
#endif
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/// Lane j of v[i] becomes lane i of v[j].
[[gnu::always_inline]] inline void turn_square(Lanes (&v)[kWidth]) {
#if defined(__AVX512F__)
  __m512i words[kWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) words[i] = _mm512_castps_si512(v[i]);
  Zmm::transpose(words);
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) v[i] = _mm512_castsi512_ps(words[i]);
#else
  __m256i words[kWidth];
#pragma GCC unroll 8
  for (int i = 0; i < kWidth; ++i) words[i] = _mm256_castps_si256(v[i]);
  Ymm::transpose(words);
#pragma GCC unroll 8
  for (int i = 0; i < kWidth; ++i) v[i] = _mm256_castsi256_ps(words[i]);
#endif
}

/// e^x; infinity above 88.7, 0 below -104. Not for NaN. After Cephes' expf: x = n ln 2 + r, and a polynomial in r.
inline Lanes exponential(Lanes x) {
  x = smaller(larger(x, all(-170)), all(100));  // keeps n where times_power takes it
  const Lanes n = nearest(multiply(x, all(1.44269504088896341F)));
  Lanes r = fused(n, all(-0.693359375F), x);  // exact: the constant has 9 bits
  r = fused(n, all(2.12194440e-4F), r);
  Lanes p = all(1.9875691500e-4F);
  p = fused(p, r, all(1.3981999507e-3F));
  p = fused(p, r, all(8.3334519073e-3F));
  p = fused(p, r, all(4.1665795894e-2F));
  p = fused(p, r, all(1.6666665459e-1F));
  p = fused(p, r, all(5.0000001201e-1F));
  return times_power(add(fused(multiply(r, r), p, r), all(1)), n);
}

/// tanh x. After Cephes' tanhf: a polynomial below 0.625, else by the exponential.
inline Lanes tangent(Lanes x) {
  const Lanes z = multiply(x, x);
  Lanes p = all(-5.70498872745e-3F);
  p = fused(p, z, all(2.06390887954e-2F));
  p = fused(p, z, all(-5.37397155531e-2F));
  p = fused(p, z, all(1.33314422036e-1F));
  p = fused(p, z, all(-3.33332819422e-1F));
  const Lanes small = fused(multiply(p, z), x, x);
  const Lanes big = subtract(all(1), divide(all(2), add(exponential(add(x, x)), all(1))));
  return choose_small(x, 0.625F, big, small);
}

}  // namespace
}  // namespace assay::kernels::cpu
