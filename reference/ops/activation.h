// The non-linear function of the FFN, the experts and the per-layer embedding's gate.
#pragma once

#include <span>

#include "model/plan.h"

namespace assay::reference {

/// In place, element by element. Gemma 4 uses GELU's tanh approximation: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715
/// x^3))). Source: transformers.activations.ACT2FN (gelu_pytorch_tanh, gelu, silu, relu).
void activate(std::span<float> x, Activation activation);

}  // namespace assay::reference
