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
/// @param Format  bytes(cols); kScales in a block of 32 columns (1, or 2 for halves); kExcess;
///                pack(rows, block, blocks, panel): V::kLanes rows, registers kRegister apart
template <class Vector, class Dot, class Format>
struct Int8Kind {
  using V = Vector;
  static constexpr int kTokens = V::kTokens, kChunkCols = 4 * kChunk, kBlocks = kChunkCols / 32, kSteps = kBlocks;
  static constexpr int kScales = Format::kScales, kWords = 8 / kScales;  ///< words that share a scale
  static constexpr std::size_t kRegister = std::size_t(V::kLanes) * 4;
  static constexpr std::size_t kBlockBytes = 2 * kRegister * (8 + kScales), kPanelBytes = kBlocks * kBlockBytes;
  using Fetch = Ahead<int(Format::bytes(kChunkCols) / 64) + 2>;
  static std::size_t row_bytes(int cols) { return Format::bytes(cols); }

  static void pack(const std::byte* const* rows, int col, int cols, std::byte* panel) {
    for (int r = 0; r < 2; ++r)
      Format::pack(rows + r * V::kLanes, col / 32, cols / 32, panel + std::size_t(r) * kRegister);
  }

  /// Where a block's integer sums start, those of scale `s`. @param sums  of the token's blocks
  [[gnu::always_inline]] static typename V::I start(const std::int32_t* sums, std::size_t block, int s) {
    static_assert(Format::kExcess == 0 || Format::kExcess == 8 || Format::kExcess == 32 || Format::kExcess == 128);
    if constexpr (Format::kExcess == 0) {
      return V::set(std::int32_t{0});
    } else {
      constexpr int kBits = Format::kExcess == 8 ? 0 : Format::kExcess == 32 ? 2 : 4;
      auto sum = V::broadcast(sums + 2 * block + (kScales == 1 || s == 1 ? 1 : 0));
      if (kScales == 2 && s == 1) sum = V::subtract(sum, V::broadcast(sums + 2 * block));
      return kBits == 0 ? sum : V::left(sum, kBits);
    }
  }

  template <int T>
  [[gnu::always_inline]] static void tile(const std::byte* panel, const Activations& x, int token, int col, int cols,
                                          Fetch& ahead, typename V::F (&sums)[2][T]) {
    const std::size_t x_stride = std::size_t(x.cols), block_stride = x_stride / 32;
    const int blocks = cols / 32;
    const auto* values = static_cast<const std::int8_t*>(x.values) + std::size_t(token) * x_stride + std::size_t(col);
    const std::int32_t* const totals = x.sums + 2 * (std::size_t(token) * block_stride + std::size_t(col / 32));
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
          products[0][t] = products[1][t] = start(totals, std::size_t(t) * block_stride + std::size_t(b), s);
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
