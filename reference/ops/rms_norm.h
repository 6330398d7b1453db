// Root-mean-square norm. Gemma 4 multiplies by w; Gemma 1 to 3 multiplied by 1 + w. Not here: LayerNorm.
#pragma once

#include <span>

#include "base/rows.h"

namespace assay::reference {

/// x / sqrt(mean(x^2) + eps) * weight for each row, in place.
/// @param x       [rows, cols]
/// @param weight  [cols]; empty for a norm without one (V, the router)
/// @param eps     added to the mean, inside the root
/// Source: Gemma4RMSNorm (transformers 5.22.2).
void rms_norm(Rows<float> x, std::span<const float> weight, float eps);

}  // namespace assay::reference
