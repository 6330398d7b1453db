// One output of a matrix, in plain C++, for every pair of weight format and activation mode. Internal linkage on
// purpose: see spec/operands.h. Written so that compilers vectorise the loops: sums in kLanes independent lanes, no
// branches.
#pragma once

#include <cstring>

#include "kernels/spec/operands.h"

namespace assay::kernels::cpu::portable {
namespace {

constexpr int kLanes = 16;

float widen_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

/// IEEE binary16 without a branch: scaling by 2^112 makes subnormals right too. Infinities and NaN are no scales.
float widen_half(std::uint16_t bits) {
  const float magnitude = widen_bits((bits & 0x7fffU) << 13) * 0x1p112F;
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

// A row of weights: block(b) gives kBlock values as fp32, or their integers and what they are multiplied by.
struct Fp32 {
  static constexpr int kBlock = 32, kGroups = 0;
  static std::size_t bytes(int cols) { return std::size_t(cols) * 4; }
  static void values(const std::byte* row, int first, int count, float, float* out) {
    std::memcpy(out, row + std::size_t(first) * 4, std::size_t(count) * 4);
  }
};
/// Floats of 16 bits, each widened by itself.
template <float (*kWiden)(std::uint16_t bits)>
struct Halves {
  static constexpr int kBlock = 32, kGroups = 0;
  static std::size_t bytes(int cols) { return std::size_t(cols) * 2; }
  static void values(const std::byte* row, int first, int count, float, float* out) {
    for (int i = 0; i < count; ++i) {
      std::uint16_t bits;
      std::memcpy(&bits, row + std::size_t(first + i) * 2, 2);
      out[i] = kWiden(bits);
    }
  }
};
inline float widen_bf16(std::uint16_t bits) { return widen_bits(std::uint32_t{bits} << 16); }
/// All of binary16, infinities and NaN too.
inline float widen_f16(std::uint16_t bits) {
  const bool finite = (bits & 0x7c00U) != 0x7c00U;
  return finite ? widen_half(bits) : widen_bits((bits & 0x8000U) << 16 | 0x7f800000U | (bits & 0x3ffU) << 13);
}
using Bf16 = Halves<widen_bf16>;
using F16 = Halves<widen_f16>;

/// Formats with integers: kGroups scales in a block of activations, each for 32 / kGroups values.
template <class Self>
struct Integers {
  static constexpr int kBlock = 32;
  static void values(const std::byte* row, int first, int count, float tensor_scale, float* out) {
    std::int8_t q[32];
    float scales[Self::kGroups];
    Self::integers(row, first / 32, tensor_scale, q, scales);
    for (int i = 0; i < count; ++i) out[i] = scales[i / (32 / Self::kGroups)] * float(q[i]);
  }
};
struct Q8_0 : Integers<Q8_0> {
  static constexpr int kGroups = 1;
  static std::size_t bytes(int cols) { return std::size_t(cols) / 32 * sizeof(BlockQ8_0); }
  static void integers(const std::byte* row, int b, float, std::int8_t* q, float* scales) {
    const auto& block = reinterpret_cast<const BlockQ8_0*>(row)[b];
    scales[0] = widen_half(block.d);
    std::memcpy(q, block.q, 32);
  }
};
struct Q4_0 : Integers<Q4_0> {
  static constexpr int kGroups = 1;
  static std::size_t bytes(int cols) { return std::size_t(cols) / 32 * sizeof(BlockQ4_0); }
  static void integers(const std::byte* row, int b, float, std::int8_t* q, float* scales) {
    const auto& block = reinterpret_cast<const BlockQ4_0*>(row)[b];
    scales[0] = widen_half(block.d);
    for (int i = 0; i < 16; ++i) {
      q[i] = std::int8_t((block.q[i] & 15) - 8);
      q[16 + i] = std::int8_t((block.q[i] >> 4) - 8);
    }
  }
};
struct Q6_K : Integers<Q6_K> {
  static constexpr int kGroups = 2;
  static std::size_t bytes(int cols) { return std::size_t(cols) / 256 * sizeof(BlockQ6_K); }
  static void integers(const std::byte* row, int b, float, std::int8_t* q, float* scales) {
    const auto& block = reinterpret_cast<const BlockQ6_K*>(row)[b / 8];
    const int half = b % 8 / 4, j = b % 4;
    const float d = widen_half(block.d);
    for (int g = 0; g < 2; ++g) scales[g] = d * float(block.scales[b % 8 * 2 + g]);
    const std::uint8_t* low = block.low + 64 * half + 32 * (j % 2);
    const std::uint8_t* high = block.high + 32 * half;
    const int low_shift = j >= 2 ? 4 : 0, high_shift = 2 * j;
    for (int i = 0; i < 32; ++i)
      q[i] = std::int8_t(((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32);
  }
};
struct I8 : Integers<I8> {
  static constexpr int kGroups = 1;
  static std::size_t bytes(int cols) { return std::size_t(cols); }
  static void integers(const std::byte* row, int b, float tensor_scale, std::int8_t* q, float* scales) {
    scales[0] = tensor_scale;
    std::memcpy(q, row + std::size_t(b) * 32, 32);
  }
};

struct ActsFp32 {
  static void values(const Activations& x, int token, int first, int count, float* out) {
    std::memcpy(out, static_cast<const float*>(x.values) + std::size_t(token) * std::size_t(x.cols) + first,
                std::size_t(count) * 4);
  }
};
struct ActsBf16 {
  static void values(const Activations& x, int token, int first, int count, float* out) {
    const auto* bits = static_cast<const std::uint16_t*>(x.values) + std::size_t(token) * std::size_t(x.cols) + first;
    for (int i = 0; i < count; ++i) out[i] = widen_bits(std::uint32_t{bits[i]} << 16);
  }
};

/// W[r] . x[token] in fp32.
template <class Row, class X>
float dot(const Weights& w, int r, const Activations& x, int token) {
  const std::byte* row = w.data + std::size_t(r) * Row::bytes(w.cols);
  float sums[kLanes] = {};
  for (int c = 0; c < w.cols; c += 32) {
    const int count = w.cols - c < 32 ? w.cols - c : 32;
    float a[32] = {}, b[32] = {};
    Row::values(row, c, count, w.scale, a);
    X::values(x, token, c, count, b);
    for (int i = 0; i < 32; ++i) sums[i % kLanes] += a[i] * b[i];
  }
  float sum = 0;
  for (const float lane : sums) sum += lane;
  return sum;
}

/// W[r] . x[token] with int8 activations.
template <class Row>
float dot_int8(const Weights& w, int r, const Activations& x, int token) {
  const std::byte* row = w.data + std::size_t(r) * Row::bytes(w.cols);
  const auto* values = static_cast<const std::int8_t*>(x.values) + std::size_t(token) * std::size_t(w.cols);
  const float* scales = x.scales + std::size_t(token) * std::size_t(w.cols / kActsBlock);
  constexpr int kGroup = 32 / Row::kGroups;
  float sum = 0;
  for (int b = 0; b < w.cols / 32; ++b) {
    std::int8_t q[32];
    float w_scales[Row::kGroups];
    Row::integers(row, b, w.scale, q, w_scales);
    for (int g = 0; g < Row::kGroups; ++g) {
      std::int32_t products = 0;
      for (int i = 0; i < kGroup; ++i) products += q[g * kGroup + i] * values[b * 32 + g * kGroup + i];
      sum += float(products) * (w_scales[g] * scales[b]);
    }
  }
  return sum;
}

template <class Row, class X>
[[maybe_unused]] void gemv(const Weights& w, const Activations& x, float* y, int first, int last) {
  for (int r = first; r < last; ++r) y[r] = dot<Row, X>(w, r, x, 0);
}
template <class Row>
[[maybe_unused]] void gemv_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  for (int r = first; r < last; ++r) y[r] = dot_int8<Row>(w, r, x, 0);
}
template <class Row, class X>
[[maybe_unused]] void gemm(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  for (int r = first; r < last; ++r)
    for (int t = 0; t < x.tokens; ++t)
      y[std::size_t(t) * std::size_t(stride) + std::size_t(r)] = dot<Row, X>(w, r, x, t);
}
template <class Row>
[[maybe_unused]] void gemm_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  for (int r = first; r < last; ++r)
    for (int t = 0; t < x.tokens; ++t)
      y[std::size_t(t) * std::size_t(stride) + std::size_t(r)] = dot_int8<Row>(w, r, x, t);
}

}  // namespace
}  // namespace assay::kernels::cpu::portable
