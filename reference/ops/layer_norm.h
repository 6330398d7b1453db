// LayerNorm, which Gemma 4 uses in two places alone: behind the audio tower's convolutions and in the encoder-free
// pixel embedder. Not here: RMS norm (rms_norm.h).
#pragma once

#include <span>

#include "base/rows.h"

namespace assay::reference {

/// (x - mean) / sqrt(variance + eps) * weight + bias for each row, in place; the variance is that of the population.
/// @param x       [rows, cols]
/// @param weight  [cols]
/// @param bias    [cols], or empty
/// Source: torch.nn.LayerNorm.
void layer_norm(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps);

}  // namespace assay::reference
