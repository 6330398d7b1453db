// Weights and activations as fp32, V::kLanes at a time, for every format; V is of simd/zmm.h and its like. Internal
// linkage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/spec/operands.h"

namespace assay::kernels::cpu {
namespace {

// A format: bytes(cols) of a row; get<V>(row, c, n) its values c to c + n, n <= kLanes, the rest 0. c is a multiple of
// kLanes. Blocks, of kBlock values, are whole: there n is kLanes. kUnpacked: there is work to be done beside reading.

struct ValuesFp32 {
  static constexpr bool kUnpacked = false;
  static constexpr int kBlock = 1;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols) * 4; }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int n) {
    return V::as_float(V::load(row + std::size_t(c) * 4, n));
  }
};

struct ValuesBf16 {
  static constexpr bool kUnpacked = false;
  static constexpr int kBlock = 1;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols) * 2; }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int n) {
    return V::as_float(V::left(V::halves(row + std::size_t(c) * 2, n), 16));
  }
};

struct ValuesF16 {
  static constexpr bool kUnpacked = false;
  static constexpr int kBlock = 1;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols) * 2; }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int n) {
    return V::half_floats(row + std::size_t(c) * 2, n);
  }
};

struct ValuesQ8_0 {
  static constexpr bool kUnpacked = true;
  static constexpr int kBlock = 32;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ8_0); }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int) {
    const BlockQ8_0& block = reinterpret_cast<const BlockQ8_0*>(row)[c / 32];
    return V::mul(V::to_float(V::signed_bytes(block.q + c % 32)), V::set(V::half(block.d)));
  }
};

struct ValuesQ4_0 {
  static constexpr bool kUnpacked = true;
  static constexpr int kBlock = 32;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ4_0); }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int) {
    const BlockQ4_0& block = reinterpret_cast<const BlockQ4_0*>(row)[c / 32];
    const auto both = V::bytes(block.q + c % 16);
    const auto nibbles = c % 32 < 16 ? V::both(both, V::set(15)) : V::right(both, 4);
    return V::mul(V::to_float(V::add(nibbles, V::set(-8))), V::set(V::half(block.d)));
  }
};

struct ValuesQ6_K {
  static constexpr bool kUnpacked = true;
  static constexpr int kBlock = 256;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 256) * sizeof(BlockQ6_K); }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int) {
    const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(row)[c / 256];
    const int half = c % 256 / 128, j = c % 128 / 32, i = c % 32;
    const auto low = V::right(V::bytes(block.low + 64 * half + 32 * (j % 2) + i), j >= 2 ? 4 : 0);
    const auto high = V::right(V::bytes(block.high + 32 * half + i), 2 * j);
    const auto six = V::either(V::both(low, V::set(15)), V::left(V::both(high, V::set(3)), 4));
    const int group = c % 256 / 16;
    const float scale = V::half(block.d) * float(block.scales[group]);
    return V::mul(V::to_float(V::add(six, V::set(-32))), V::set(scale));
  }
};

/// Without the tensor's scale, which multiplies the sum.
struct ValuesI8 {
  static constexpr bool kUnpacked = true;
  static constexpr int kBlock = 1;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols); }
  template <class V>
  [[gnu::always_inline]] static typename V::F get(const std::byte* row, int c, int) {
    return V::to_float(V::signed_bytes(row + c));
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
