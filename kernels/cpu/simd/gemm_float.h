// Matrix-matrix products whose sums are fp32 all along: any format of weights with fp32 or bf16 activations. Internal
// linkage.
#pragma once

#include "gemm_tile.h"
#include "values.h"

namespace assay::kernels::cpu {
namespace {

/// fp32 products of weights as fp32 with fp32 activations.
template <class Vector, class W>
struct FloatKind {
  using V = Vector;
  static constexpr int kTokens = V::kTokensFloat, kChunkCols = kChunk, kSteps = 1;
  static constexpr std::size_t kStep = 2 * V::kLanes * 4, kPanelBytes = kStep * kChunk;
  using Fetch = Ahead<int(W::bytes(kChunkCols) / 64) + 2>;
  static std::size_t row_bytes(int cols) { return W::bytes(cols); }

  static void pack(const std::byte* const* rows, int col, int cols, std::byte* panel) {
    for (int r = 0; r < 2; ++r)
      for (int c = 0; c < cols; c += V::kLanes) {
        const int n = cols - c < V::kLanes ? cols - c : V::kLanes;
        turn<V>(
            r * V::kLanes, c, panel + std::size_t(c) * kStep + std::size_t(r) * V::kLanes * 4,
            kStep, [&](int row, int word) __attribute__((always_inline)) {
              return V::as_words(W::template get<V>(rows[row], col + word, n));
            });
      }
  }

  template <int T>
  [[gnu::always_inline]] static void tile(const std::byte* panel, const Activations& x, int token, int col, int cols,
                                          Fetch& ahead, typename V::F (&sums)[2][T]) {
    ahead.step();
    const auto* values = static_cast<const float*>(x.values) + std::size_t(token) * std::size_t(x.cols) + col;
    for (auto& row : sums)
      for (auto& sum : row) sum = V::zero();
    for (int c = 0; c < cols; ++c) {
      const auto w0 = V::as_float(V::load(panel)), w1 = V::as_float(V::load(panel + V::kLanes * 4));
      panel += kStep;
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) {
        const auto v = V::set(values[std::size_t(t) * std::size_t(x.cols) + std::size_t(c)]);
        sums[0][t] = V::fma(w0, v, sums[0][t]);
        sums[1][t] = V::fma(w1, v, sums[1][t]);
      }
    }
  }
};

/// fp32 products of bf16 weights with bf16 activations, widened one by one: where there is no bfloat16 dot.
template <class Vector>
struct WidenedKind : FloatKind<Vector, ValuesBf16> {
  using V = Vector;
  using Fetch = typename FloatKind<Vector, ValuesBf16>::Fetch;
  template <int T>
  [[gnu::always_inline]] static void tile(const std::byte* panel, const Activations& x, int token, int col, int cols,
                                          Fetch& ahead, typename V::F (&sums)[2][T]) {
    ahead.step();
    const auto* values = static_cast<const std::uint16_t*>(x.values) + std::size_t(token) * std::size_t(x.cols) + col;
    for (auto& row : sums)
      for (auto& sum : row) sum = V::zero();
    for (int c = 0; c < cols; ++c) {
      const auto w0 = V::as_float(V::load(panel)), w1 = V::as_float(V::load(panel + V::kLanes * 4));
      panel += 2 * V::kLanes * 4;
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) {
        const std::uint32_t bits = values[std::size_t(t) * std::size_t(x.cols) + std::size_t(c)];
        const auto v = V::as_float(V::set(std::int32_t(bits << 16)));
        sums[0][t] = V::fma(w0, v, sums[0][t]);
        sums[1][t] = V::fma(w1, v, sums[1][t]);
      }
    }
  }
};

template <class Kind>
void gemm_float(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_blocks<typename Kind::V, Kind>(w, x, y, stride, first, last);
}

}  // namespace
}  // namespace assay::kernels::cpu
