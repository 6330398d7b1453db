// Dot instructions on registers of ones, as many independent sums as there are registers to hold them beside the
// operands. Internal linkage: see spec/operands.h.
#pragma once

#include <cstdint>

#include "kernels/spec/peak.h"

#if defined(__aarch64__)
#define ASSAY_ANY_VECTOR "+w"
#else
#define ASSAY_ANY_VECTOR "+v"
#endif

namespace assay::kernels::cpu {
namespace {

/// @param Dot  its Vector, Sum and Lane; kSums of them in flight; kProducts an instruction; ones(), dot(sum, a, b)
template <class Dot>
void run_peak(int steps, float* y, int first, int last) {
  constexpr int kRounds = spec::kPeakProducts / (Dot::kSums * Dot::kProducts);
  static_assert(kRounds * Dot::kSums * Dot::kProducts == spec::kPeakProducts);
  typename Dot::Vector a = Dot::ones(), b = Dot::ones();
  for (int r = first; r < last; ++r) {
    asm volatile("" : ASSAY_ANY_VECTOR(a), ASSAY_ANY_VECTOR(b));  // ones, but the compiler must not know
    typename Dot::Sum sums[Dot::kSums] = {};
    for (auto& sum : sums) asm volatile("" : ASSAY_ANY_VECTOR(sum));  // nor that all sums are the same
    for (int s = 0; s < steps * kRounds; ++s)
#pragma GCC unroll 24
      for (int i = 0; i < Dot::kSums; ++i) sums[i] = Dot::dot(sums[i], a, b);
    constexpr int kLanes = int(sizeof(typename Dot::Sum) / sizeof(typename Dot::Lane));
    float total = 0;
    for (const auto& sum : sums) {
      typename Dot::Lane lanes[kLanes];
      __builtin_memcpy(lanes, &sum, sizeof sum);
      for (const auto lane : lanes) total += float(lane);
    }
    y[r] = total;
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
