// The operations of simd/zmm.h for AArch64's 128-bit registers. Internal linkage: see spec/operands.h.
#pragma once

#include <arm_neon.h>
#include <cstddef>
#include <cstdint>

namespace assay::kernels::cpu {
namespace {

struct Neon {
  using I = int32x4_t;
  using F = float32x4_t;
  static constexpr int kLanes = 4;
  static constexpr int kTokens = 6;
  static constexpr int kTokensFloat = 12;

  static F zero() { return vdupq_n_f32(0); }
  static F set(float v) { return vdupq_n_f32(v); }
  static I set(std::int32_t v) { return vdupq_n_s32(v); }
  static F as_float(I v) { return vreinterpretq_f32_s32(v); }
  static I as_words(F v) { return vreinterpretq_s32_f32(v); }
  static F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
  static F mul(F a, F b) { return vmulq_f32(a, b); }
  static F add(F a, F b) { return vaddq_f32(a, b); }
  static float sum(F v) { return vaddvq_f32(v); }
  static F to_float(I v) { return vcvtq_f32_s32(v); }
  static I add(I a, I b) { return vaddq_s32(a, b); }
  static I both(I a, I b) { return vandq_s32(a, b); }
  static I either(I a, I b) { return vorrq_s32(a, b); }
  static I left(I v, int bits) { return vshlq_s32(v, vdupq_n_s32(bits)); }
  static I right(I v, int bits) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(v), vdupq_n_s32(-bits)));
  }

  static I load(const void* p) { return vreinterpretq_s32_u8(vld1q_u8(static_cast<const std::uint8_t*>(p))); }
  static F loadf(const float* p) { return vld1q_f32(p); }
  static void store(void* p, I v) { vst1q_u8(static_cast<std::uint8_t*>(p), vreinterpretq_u8_s32(v)); }
  static void store(float* p, F v) { vst1q_f32(p, v); }
  static I load(const void* p, int n) {
    if (n >= 4) return load(p);
    std::int32_t some[4] = {};
    __builtin_memcpy(some, p, std::size_t(n) * 4);
    return vld1q_s32(some);
  }
  static void store(float* p, F v, int n) {
    if (n >= 4) return store(p, v);
    float all[4];
    vst1q_f32(all, v);
    for (int i = 0; i < n; ++i) p[i] = all[i];
  }
  static I bytes(const void* p) {
    std::uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(word))))));
  }
  static I signed_bytes(const void* p) {
    std::uint32_t word;
    __builtin_memcpy(&word, p, 4);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
  }
  static uint16x4_t load_halves(const void* p, int n) {
    std::uint16_t some[4] = {};
    __builtin_memcpy(some, p, std::size_t(n < 4 ? n : 4) * 2);
    return vld1_u16(some);
  }
  static I halves(const void* p, int n) { return vreinterpretq_s32_u32(vmovl_u16(load_halves(p, n))); }
  static F half_floats(const void* p, int n) { return vcvt_f32_f16(vreinterpret_f16_u16(load_halves(p, n))); }
  static I broadcast(const void* p) {
    std::int32_t word;
    __builtin_memcpy(&word, p, 4);
    return vdupq_n_s32(word);
  }
  static float half(std::uint16_t bits) {
    __fp16 value;
    __builtin_memcpy(&value, &bits, 2);
    return float(value);
  }

  [[gnu::always_inline]] static void transpose(I (&v)[4]) {
    const auto pairs = [](I a, I b, bool odd) {
      return vreinterpretq_s64_s32(odd ? vtrn2q_s32(a, b) : vtrn1q_s32(a, b));
    };
    const int64x2_t a = pairs(v[0], v[1], false), b = pairs(v[0], v[1], true);
    const int64x2_t c = pairs(v[2], v[3], false), d = pairs(v[2], v[3], true);
    v[0] = vreinterpretq_s32_s64(vtrn1q_s64(a, c));
    v[1] = vreinterpretq_s32_s64(vtrn1q_s64(b, d));
    v[2] = vreinterpretq_s32_s64(vtrn2q_s64(a, c));
    v[3] = vreinterpretq_s32_s64(vtrn2q_s64(b, d));
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
