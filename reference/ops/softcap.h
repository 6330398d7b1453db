// The bound on the logits.
#pragma once

#include <span>

namespace assay::reference {

/// cap * tanh(x / cap), in place.
/// Source: Gemma4ForCausalLM.forward (transformers 5.22.2).
void softcap(std::span<float> x, float cap);

}  // namespace assay::reference
