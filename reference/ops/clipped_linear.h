// A linear layer between two clamps: those of the towers whose checkpoint holds bounds. Not here: the linear itself.
#pragma once

#include <limits>

#include "base/rows.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"

namespace assay::reference {

struct Bounds {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

/// Without bias; without bounds the infinite ones, which clamp nothing.
struct ClippedWeight {
  Weight weight;
  Bounds input, output;
};

/// min(max(v, low), high) for each value, in place.
void clamp(std::span<float> x, Bounds bounds);

/// clamp(clamp(x) W^T). @param x [rows, W.cols]; result [rows, W.rows]
/// Source: Gemma4ClippableLinear (transformers 5.22.2).
Grid clipped_linear(Rows<const float> x, const ClippedWeight& w);

}  // namespace assay::reference
