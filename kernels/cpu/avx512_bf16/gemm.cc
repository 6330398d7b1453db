// Matrix-matrix product of bfloat16 weights and activations: a word of a panel is two neighbouring columns.
#include "kernels/spec/gemm.h"

#include "../simd/gemm_tile.h"
#include "../simd/zmm.h"

namespace assay::kernels::cpu::avx512_bf16 {
namespace {

struct Bf16Kind {
  using V = Zmm;
  static constexpr int kTokens = V::kTokensFloat, kChunkCols = 2 * kChunk, kSteps = 1;
  static constexpr std::size_t kStep = 2 * V::kLanes * 4, kPanelBytes = kStep * kChunk;
  using Fetch = Ahead<2 * kChunkCols / 64 + 2>;
  static std::size_t row_bytes(int cols) { return std::size_t(cols) * 2; }

  static void pack(const std::byte* const* rows, int col, int cols, std::byte* panel) {
    for (int r = 0; r < 2; ++r)
      for (int c = 0; c < cols; c += 32) {
        const __mmask32 mask = cols - c >= 32 ? ~0U : (1U << (cols - c)) - 1U;  // an odd last column pairs with 0
        turn<V>(
            r * V::kLanes, c, panel + std::size_t(c / 2) * kStep + std::size_t(r) * 64,
            kStep, [&](int row, int) __attribute__((always_inline)) {
              return _mm512_maskz_loadu_epi16(mask, rows[row] + std::size_t(col + c) * 2);
            });
      }
  }

  [[gnu::always_inline]] static __m512 dot(__m512 sum, __m512i w, __m512i x) {
    // As bits: g++ 12 has no casts to and from its vector of bfloat16.
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(x));
    return sum;
  }

  template <int T>
  [[gnu::always_inline]] static void tile(const std::byte* panel, const Activations& x, int token, int col, int cols,
                                          Fetch& ahead, __m512 (&sums)[2][T]) {
    ahead.step();
    const std::size_t x_stride = std::size_t(x.cols);
    const auto* values = static_cast<const std::uint16_t*>(x.values) + std::size_t(token) * x_stride + std::size_t(col);
    for (auto& row : sums)
      for (auto& sum : row) sum = V::zero();
    const auto step = [&](auto&& word) __attribute__((always_inline)) {
      const __m512i w0 = V::load(panel), w1 = V::load(panel + 64);
      panel += kStep;
#pragma GCC unroll 12
      for (int t = 0; t < T; ++t) {
        const __m512i v = word(t);
        sums[0][t] = dot(sums[0][t], w0, v);
        sums[1][t] = dot(sums[1][t], w1, v);
      }
    };
    int c = 0;
    for (; c + 2 <= cols; c += 2)
      step([&](int t) __attribute__((always_inline)) { return V::broadcast(values + std::size_t(t) * x_stride + c); });
    if (c < cols)
      step([&](int t)
               __attribute__((always_inline)) { return V::set(std::int32_t{values[std::size_t(t) * x_stride + c]}); });
  }
};

}  // namespace

void gemm_bf16_bf16(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_blocks<Zmm, Bf16Kind>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::avx512_bf16
