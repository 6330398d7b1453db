// Rows of a table in any format, registers at a time; V is of simd/zmm.h and its like. Internal linkage.
#pragma once

#include "kernels/spec/gather.h"
#include "values.h"

namespace assay::kernels::cpu {
namespace {

/// Integers with the tensor's scale, which values.h leaves to the sum.
template <class W>
constexpr bool kTensorScale = false;
template <>
constexpr bool kTensorScale<ValuesI8> = true;

template <class V, class W>
void gather(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  const auto times = V::set(scale), tensor = V::set(table.scale);
  for (int t = first; t < last; ++t) {
    const std::byte* row = table.data + std::size_t(ids[t]) * W::bytes(table.cols);
    float* out = y + std::size_t(t) * std::size_t(table.cols);
    for (int c = 0; c < table.cols; c += V::kLanes) {
      const int n = table.cols - c < V::kLanes ? table.cols - c : V::kLanes;
      auto values = W::template get<V>(row, c, n);
      if constexpr (kTensorScale<W>) values = V::mul(values, tensor);
      V::store(out + c, V::mul(values, times), n);
    }
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
