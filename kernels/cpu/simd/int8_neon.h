// int8 activations on AArch64: a block of 32 columns is two registers, weights stay signed. What differs between the
// baseline and the dot product extension is Dot. Internal linkage.
#pragma once

#include "gemm_int8.h"
#include "kernels/spec/gemv.h"
#include "neon.h"
#include "prefetch.h"

namespace assay::kernels::cpu {
namespace {

/// Products of 16 bits, pairs of them to 32, pairs of those.
struct WideningDot {
  [[gnu::always_inline]] static int32x4_t dot(int32x4_t sums, int32x4_t weights, int32x4_t x) {
    const int8x16_t w = vreinterpretq_s8_s32(weights), v = vreinterpretq_s8_s32(x);
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(w), vget_low_s8(v)));
    const int32x4_t high = vpaddlq_s16(vmull_high_s8(w, v));
    return vaddq_s32(sums, vpaddq_s32(low, high));
  }
};
#ifdef __ARM_FEATURE_DOTPROD
struct DotProduct {
  [[gnu::always_inline]] static int32x4_t dot(int32x4_t sums, int32x4_t weights, int32x4_t x) {
    return vdotq_s32(sums, vreinterpretq_s8_s32(weights), vreinterpretq_s8_s32(x));
  }
};
#endif

// Formats: quants(row, b, half) are 16 of block b's integers, signed; scale(row, b, half) what their products are
// multiplied by.

struct NeonQ4_0 {
  static constexpr int kScales = 1, kExcess = 0;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ4_0); }
  [[gnu::always_inline]] static int32x4_t quants(const std::byte* row, int b, int half) {
    const uint8x16_t both = vld1q_u8(reinterpret_cast<const BlockQ4_0*>(row)[b].q);
    const uint8x16_t nibbles = half == 0 ? vandq_u8(both, vdupq_n_u8(15)) : vshrq_n_u8(both, 4);
    return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_u8(nibbles), vdupq_n_s8(8)));
  }
  static float scale(const std::byte* row, int b, int) {
    return Neon::half(reinterpret_cast<const BlockQ4_0*>(row)[b].d);
  }
};

struct NeonQ8_0 {
  static constexpr int kScales = 1, kExcess = 0;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ8_0); }
  [[gnu::always_inline]] static int32x4_t quants(const std::byte* row, int b, int half) {
    return Neon::load(reinterpret_cast<const BlockQ8_0*>(row)[b].q + 16 * half);
  }
  static float scale(const std::byte* row, int b, int) {
    return Neon::half(reinterpret_cast<const BlockQ8_0*>(row)[b].d);
  }
};

struct NeonI8 {
  static constexpr int kScales = 1, kExcess = 0;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols); }
  [[gnu::always_inline]] static int32x4_t quants(const std::byte* row, int b, int half) {
    return Neon::load(row + 32 * b + 16 * half);
  }
  static float scale(const std::byte*, int, int) { return 1; }  // the tensor's multiplies the sums
};

struct NeonQ6_K {
  static constexpr int kScales = 2, kExcess = 0;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 256) * sizeof(BlockQ6_K); }
  [[gnu::always_inline]] static int32x4_t quants(const std::byte* row, int b, int half) {
    const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(row)[b / 8];
    const int side = b % 8 / 4, j = b % 4;
    const uint8x16_t low = vld1q_u8(block.low + 64 * side + 32 * (j % 2) + 16 * half);
    const uint8x16_t high = vshlq_u8(vld1q_u8(block.high + 32 * side + 16 * half), vdupq_n_s8(std::int8_t(-2 * j)));
    const uint8x16_t nibbles = j >= 2 ? vshrq_n_u8(low, 4) : vandq_u8(low, vdupq_n_u8(15));
    const uint8x16_t six = vorrq_u8(nibbles, vshlq_n_u8(vandq_u8(high, vdupq_n_u8(3)), 4));
    return vreinterpretq_s32_s8(vsubq_s8(vreinterpretq_s8_u8(six), vdupq_n_s8(32)));
  }
  static float scale(const std::byte* row, int b, int half) {
    const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(row)[b / 8];
    return Neon::half(block.d) * float(block.scales[b % 8 * 2 + half]);
  }
};

template <class Dot, class Format, int kRows>
void gemv_rows_int8(const Weights& w, const Activations& x, float* y, int row) {
  const std::size_t bytes = Format::bytes(w.cols);
  const std::byte* first = w.data + std::size_t(row) * bytes;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  const std::size_t ahead = prefetch_distance(kRows * bytes);
  float32x4_t sums[kRows];
  for (auto& sum : sums) sum = vdupq_n_f32(0);
  for (int b = 0; b < w.cols / 32; ++b) {
    const int32x4_t v[2] = {Neon::load(values + 32 * b), Neon::load(values + 32 * b + 16)};
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const std::byte* p = first + std::size_t(r) * bytes;
      __builtin_prefetch(p + Format::bytes(256) * std::size_t(b) / 8 + ahead);
      int32x4_t products = vdupq_n_s32(0);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
        products = Dot::dot(products, Format::quants(p, b, half), v[half]);
        if (Format::kScales == 1 && half == 0) continue;
        sums[r] = vfmaq_n_f32(sums[r], vcvtq_f32_s32(products), Format::scale(p, b, half) * x.scales[b]);
        products = vdupq_n_s32(0);
      }
    }
  }
  for (int r = 0; r < kRows; ++r) y[row + r] = vaddvq_f32(sums[r]) * w.scale;
}

template <class Dot, class Format>
[[maybe_unused]] void gemv_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  for (; r + 4 <= last; r += 4) gemv_rows_int8<Dot, Format, 4>(w, x, y, r);
  for (; r < last; ++r) gemv_rows_int8<Dot, Format, 1>(w, x, y, r);
}

/// Format with the panels that Int8Kind wants.
template <class Format>
struct Packed : Format {
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    constexpr std::size_t kStep = 2 * 16;  // registers of two row groups take turns
    for (int b = block; b < block + blocks; ++b)
      for (int half = 0; half < 2; ++half) {
        int32x4_t v[4];
        for (int i = 0; i < 4; ++i) v[i] = Format::quants(rows[i], b, half);
        Neon::transpose(v);
        for (int k = 0; k < 4; ++k, panel += kStep) Neon::store(panel, v[k]);
        if (Format::kScales == 1 && half == 0) continue;
        float scales[4];
        for (int i = 0; i < 4; ++i) scales[i] = Format::scale(rows[i], b, half);
        __builtin_memcpy(panel, scales, sizeof scales);
        panel += kStep;
      }
  }
};

template <class Dot, class Format>
[[maybe_unused]] void gemm_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_blocks<Neon, Int8Kind<Neon, Dot, Packed<Format>>>(w, x, y, stride, first, last);
}

}  // namespace
}  // namespace assay::kernels::cpu
