// The operations of simd/zmm.h for 256-bit registers of AVX2, FMA and F16C. Internal linkage: see spec/operands.h.
#pragma once

#include <immintrin.h>
#include <cstddef>
#include <cstdint>

namespace assay::kernels::cpu {
namespace {

struct Ymm {
  using I = __m256i;
  using F = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kTokens = 3;  // of sixteen registers
  static constexpr int kTokensFloat = 6;

  static F zero() { return _mm256_setzero_ps(); }
  static F set(float v) { return _mm256_set1_ps(v); }
  static I set(std::int32_t v) { return _mm256_set1_epi32(v); }
  static F as_float(I v) { return _mm256_castsi256_ps(v); }
  static I as_words(F v) { return _mm256_castps_si256(v); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static float sum(F v) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static F to_float(I v) { return _mm256_cvtepi32_ps(v); }
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  static I subtract(I a, I b) { return _mm256_sub_epi32(a, b); }
  static I mul(I a, I b) { return _mm256_mullo_epi32(a, b); }
  static I both(I a, I b) { return _mm256_and_si256(a, b); }
  static I either(I a, I b) { return _mm256_or_si256(a, b); }
  [[gnu::always_inline]] static I left(I v, int bits) { return _mm256_slli_epi32(v, bits); }
  [[gnu::always_inline]] static I right(I v, int bits) { return _mm256_srli_epi32(v, bits); }

  static I first(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
  static I load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static F loadf(const float* p) { return _mm256_loadu_ps(p); }
  static void store(void* p, I v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static I load(const void* p, int n) {
    return n >= 8 ? load(p) : _mm256_maskload_epi32(static_cast<const int*>(p), first(n));
  }
  static void store(float* p, F v, int n) { n >= 8 ? store(p, v) : _mm256_maskstore_ps(p, first(n), v); }
  static I bytes(const void* p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))); }
  static I signed_bytes(const void* p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))); }
  static __m128i load_halves(const void* p, int n) {
    if (n >= 8) return _mm_loadu_si128(static_cast<const __m128i*>(p));
    std::uint16_t some[8] = {};
    for (int i = 0; i < n; ++i) __builtin_memcpy(some + i, static_cast<const char*>(p) + 2 * i, 2);
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(some));
  }
  static I halves(const void* p, int n) { return _mm256_cvtepu16_epi32(load_halves(p, n)); }
  static F half_floats(const void* p, int n) { return _mm256_cvtph_ps(load_halves(p, n)); }
  static I broadcast(const void* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }
  static float half(std::uint16_t bits) { return _cvtsh_ss(bits); }

  [[gnu::always_inline]] static void transpose(I (&v)[8]) {
    I t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
      t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      v[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
      v[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
      v[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
      v[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      t[i] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
      t[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
    }
    for (int i = 0; i < 8; ++i) v[i] = t[i];
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
