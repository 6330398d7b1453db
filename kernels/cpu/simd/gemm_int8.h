// Matrix-matrix products with int8 activations. Weights are unsigned bytes in the panel (x86's 8-bit dot takes one
// unsigned operand); what they are too large by is taken off by starting each integer sum at minus that times the sum
// of x's block, which comes with the activations. A word is four neighbouring columns; behind each block's eight words
// per row stand its scales as fp32, and two registers of weights pass by kTokens tokens. Internal linkage.
#pragma once

#include "gemm_tile.h"

namespace assay::kernels::cpu {
namespace {

/// @param V       simd/zmm.h and its like
/// @param Dot     dot(sums, weights, x): adds four products to each word
/// @param Format  bytes(cols); kScales in a block of 32 columns (1, or 2 for halves); kExcess; pack(rows, block,
/// blocks,
///                panel): V::kLanes rows, registers kRegister apart
template <class Vector, class Dot, class Format>
struct Int8Kind {
  using V = Vector;
  static constexpr int kTokens = V::kTokens, kChunkCols = 4 * kChunk, kBlocks = kChunkCols / 32, kSteps = kBlocks;
  static constexpr int kScales = Format::kScales, kWords = 8 / kScales;  ///< words that share a scale
  /// Where integer sums start: for each scale of a chunk, unless weights are not too large.
  static constexpr int kStarts = Format::kExcess != 0 ? kBlocks * kScales : 0;
  static constexpr std::size_t kRegister = std::size_t(V::kLanes) * 4;
  static constexpr std::size_t kBlockBytes = 2 * kRegister * (8 + kScales), kPanelBytes = kBlocks * kBlockBytes;
  using Fetch = Ahead<int(Format::bytes(kChunkCols) / 64) + 2>;
  static std::size_t row_bytes(int cols) { return Format::bytes(cols); }

  static void pack(const std::byte* const* rows, int col, int cols, std::byte* panel) {
    for (int r = 0; r < 2; ++r)
      Format::pack(rows + r * V::kLanes, col / 32, cols / 32, panel + std::size_t(r) * kRegister);
  }

  [[gnu::always_inline]] static void starts(const Activations& x, int token, int col, int cols, std::int32_t* to) {
    const std::int32_t* const halves = x.sums + std::size_t(token) * std::size_t(x.cols / 16) + std::size_t(col / 16);
    for (int i = 0; i < cols / 32 * kScales; ++i)
      to[i] = -Format::kExcess * (kScales == 2 ? halves[i] : halves[2 * i] + halves[2 * i + 1]);
  }

  template <int T>
  [[gnu::always_inline]] static void tile(const std::byte* panel, const std::int32_t* starts, const Activations& x,
                                          int token, int col, int cols, Fetch& ahead, typename V::F (&sums)[2][T]) {
    const std::size_t x_stride = std::size_t(x.cols), block_stride = x_stride / 32;
    const int blocks = cols / 32;
    const auto* values = static_cast<const std::int8_t*>(x.values) + std::size_t(token) * x_stride + std::size_t(col);
    const float* scales = x.scales + std::size_t(token) * block_stride + std::size_t(col / 32);
    for (auto& row : sums)
      for (auto& sum : row) sum = V::zero();
    for (int b = 0; b < blocks; ++b) {
      ahead.step();
#pragma GCC unroll 2
      for (int s = 0; s < kScales; ++s) {
        typename V::I products[2][T];
#pragma GCC unroll 6
        for (int t = 0; t < T; ++t)
          products[0][t] = products[1][t] =
              Format::kExcess != 0 ? V::broadcast(starts + t * kStarts + b * kScales + s) : V::set(std::int32_t{0});
#pragma GCC unroll 8
        for (int k = 0; k < kWords; ++k) {
          const auto w0 = V::load(panel), w1 = V::load(panel + kRegister);
          panel += 2 * kRegister;
#pragma GCC unroll 6
          for (int t = 0; t < T; ++t) {
            const auto v = V::broadcast(values + std::size_t(t) * x_stride + 4 * k);
            products[0][t] = Dot::dot(products[0][t], w0, v);
            products[1][t] = Dot::dot(products[1][t], w1, v);
          }
        }
        const auto scale0 = V::as_float(V::load(panel)), scale1 = V::as_float(V::load(panel + kRegister));
        panel += 2 * kRegister;
#pragma GCC unroll 6
        for (int t = 0; t < T; ++t) {
          const auto scale = V::set(scales[std::size_t(t) * block_stride + std::size_t(b)]);
          sums[0][t] = V::fma(V::to_float(products[0][t]), V::mul(scale0, scale), sums[0][t]);
          sums[1][t] = V::fma(V::to_float(products[1][t]), V::mul(scale1, scale), sums[1][t]);
        }
        values += 4 * kWords;
      }
    }
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
