// The sum of products that every projection and every attention score is. Not here: matrices (linear.h).
#pragma once

#include <span>

namespace assay::reference {

/// sum of a[i] * b[i], accumulated in double; a and b have one length.
/// torch sums in fp32, in an order it does not promise; the exact sum is near all of them. Sixteen partial sums, always
/// the same ones, so that a compiler may use vector registers of any width and every machine gets the same bits.
float dot(std::span<const float> a, std::span<const float> b);

}  // namespace assay::reference
