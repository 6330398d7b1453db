// A linear layer. Not here: what is projected (blocks.h).
#pragma once

#include <span>

#include "base/rows.h"
#include "reference/ops/weight.h"

namespace assay::reference {

/// y = x W^T + bias.
/// @param x     [rows, W.cols]
/// @param w     [out, in] as torch stores it
/// @param bias  [out], or empty
/// @param y     [rows, W.rows]
/// Source: torch.nn.Linear.
void linear(Rows<const float> x, const Weight& w, std::span<const float> bias, Rows<float> y);

}  // namespace assay::reference
