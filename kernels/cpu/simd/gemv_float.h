// Matrix-vector products in fp32, any format of weights, fp32 or bf16 activations. V: simd/zmm.h and its like; W and X:
// simd/values.h. Internal linkage.
#pragma once

#include "kernels/spec/gemv.h"
#include "prefetch.h"
#include "values.h"

namespace assay::kernels::cpu {
namespace {

/// kRows rows at a time share x; two sums a row hide the latency of a fused multiply-add. Formats that need no
/// unpacking take one row as long as x stays in the first-level cache: memory is read in one stream, which the hardware
/// foresees.
template <class V, class W, class X, int kRows>
void gemv_rows(const Weights& w, const Activations& x, float* y, int row) {
  const std::size_t bytes = W::bytes(w.cols);
  const std::byte* first = w.data + std::size_t(row) * bytes;
  const auto* values = static_cast<const std::byte*>(x.values);
  constexpr int kStep = 2 * V::kLanes, kBody = kStep > W::kBlock ? kStep : W::kBlock;
  const std::size_t ahead = prefetch_distance(kRows * bytes);
  typename V::F sums[kRows][2];
  for (auto& sum : sums) sum[0] = sum[1] = V::zero();
  int c = 0;
  for (; c + kBody <= w.cols; c += kBody) {
    const std::byte* const body = first + W::bytes(c);
#pragma GCC unroll 4
    for (int r = 0; r < kRows && kRows > 1; ++r)
      for (std::size_t line = 0; line < W::bytes(kBody); line += 64)
        fetch_line(body + std::size_t(r) * bytes + ahead + line);
        // Unrolled, so that where a value lies in its block is known when this is compiled.
#pragma GCC unroll 32
    for (int k = 0; k < kBody; k += kStep) {
      const auto x0 = X::template get<V>(values, c + k, V::kLanes);
      const auto x1 = X::template get<V>(values, c + k + V::kLanes, V::kLanes);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const std::byte* p = body + std::size_t(r) * bytes;
        sums[r][0] = V::fma(W::template get<V>(p, k, V::kLanes), x0, sums[r][0]);
        sums[r][1] = V::fma(W::template get<V>(p, k + V::kLanes, V::kLanes), x1, sums[r][1]);
      }
    }
  }
  for (; c < w.cols; c += V::kLanes) {
    const int n = w.cols - c < V::kLanes ? w.cols - c : V::kLanes;
    const auto x0 = X::template get<V>(values, c, n);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      sums[r][0] = V::fma(W::template get<V>(first + std::size_t(r) * bytes, c, n), x0, sums[r][0]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) y[row + r] = V::sum(V::add(sums[r][0], sums[r][1])) * w.scale;
}

template <class V, class W, class X>
void gemv_float(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  if (W::kUnpacked || X::bytes(w.cols) > kMostKept)
    for (; r + 4 <= last; r += 4) gemv_rows<V, W, X, 4>(w, x, y, r);
  for (; r < last; ++r) gemv_rows<V, W, X, 1>(w, x, y, r);
}

}  // namespace
}  // namespace assay::kernels::cpu
