// The few operations that matrix kernels are written in, for 512-bit registers of AVX-512 F, BW, VL, DQ. simd/ymm.h and
// simd/neon.h have the same names for narrower ones. Internal linkage: see spec/operands.h.
#pragma once

#include <immintrin.h>
#include <cstddef>
#include <cstdint>

namespace assay::kernels::cpu {
namespace {

struct Zmm {
  using I = __m512i;  ///< kLanes 32-bit words
  using F = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kTokens = 6;        ///< tokens whose integer and fp32 sums fit beside two registers of weights
  static constexpr int kTokensFloat = 12;  ///< the same with fp32 sums only

  static F zero() { return _mm512_setzero_ps(); }
  static F set(float v) { return _mm512_set1_ps(v); }
  static I set(std::int32_t v) { return _mm512_set1_epi32(v); }
  static F as_float(I v) { return _mm512_castsi512_ps(v); }
  static I as_words(F v) { return _mm512_castps_si512(v); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static float sum(F v) { return _mm512_reduce_add_ps(v); }
  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static I subtract(I a, I b) { return _mm512_sub_epi32(a, b); }
  static I mul(I a, I b) { return _mm512_mullo_epi32(a, b); }
  static I both(I a, I b) { return _mm512_and_si512(a, b); }
  static I either(I a, I b) { return _mm512_or_si512(a, b); }
  [[gnu::always_inline]] static I left(I v, int bits) { return _mm512_slli_epi32(v, bits); }
  [[gnu::always_inline]] static I right(I v, int bits) { return _mm512_srli_epi32(v, bits); }

  static __mmask16 first(int n) { return n >= 16 ? 0xffffU : __mmask16((1U << n) - 1U); }
  static I load(const void* p) { return _mm512_loadu_si512(p); }
  static F loadf(const float* p) { return _mm512_loadu_ps(p); }
  static void store(void* p, I v) { _mm512_storeu_si512(p, v); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  /// The first n words; the others are 0, or not written.
  static I load(const void* p, int n) { return _mm512_maskz_loadu_epi32(first(n), p); }
  static void store(float* p, F v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
  /// kLanes bytes or 16-bit halves, widened to words.
  static I bytes(const void* p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  static I signed_bytes(const void* p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))); }
  static I halves(const void* p, int n) { return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first(n), p)); }
  /// n halves that are binary16, as floats.
  static F half_floats(const void* p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)); }
  static I broadcast(const void* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  static float half(std::uint16_t bits) { return _cvtsh_ss(bits); }

  /// Word j of v[i] becomes word i of v[j].
  [[gnu::always_inline]] static void transpose(I (&v)[16]) {
    I t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
      t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
      v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
      v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
      v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
      t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
      t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
      t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
      v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
      v[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
      v[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
