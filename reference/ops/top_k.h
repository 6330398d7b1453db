// The router's choice. Not here: its probabilities (blocks.h).
#pragma once

#include <span>

namespace assay::reference {

/// Keeps the `used` largest probabilities, divides them by their sum, multiplies each by its expert's scale; 0
/// elsewhere.
/// @param probs   [experts]
/// @param scales  per_expert_scale [experts]
/// @param chosen  [experts]
/// Source: Gemma4TextRouter.forward (transformers 5.22.2).
void top_k(std::span<const float> probs, int used, std::span<const float> scales, std::span<float> chosen);

}  // namespace assay::reference
