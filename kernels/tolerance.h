// How far kernels' results may lie from the exact ones, as named functions with their reasons. Not here: engines' and
// taps' (base/tolerance.h).
#pragma once

#include <cmath>

#include "base/tolerance.h"

namespace assay::kernels {

/// How far an fp32 dot product may lie from the exact one, in any order, with or without FMA.
/// Each step rounds by at most 2^-24 of its partial sum; like a random walk, that grows to sqrt(terms). Eight times as
/// much has probability below 2 * terms * exp(-32) (after Higham and Mary 2019). Dot instructions for bfloat16 may
/// flush each product and sum below 2^-126. Its test: a sum that lost one product exceeds it.
/// @param partial  the largest partial sum the oracle met; not |y|, which cancellation shrinks
inline Tolerance dot_fp32(int terms, double partial) {
  return {.atol = 8 * std::sqrt(double(terms)) * 0x1p-24 * partial + 2 * terms * 0x1p-126};
}

}  // namespace assay::kernels
