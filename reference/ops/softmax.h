// Softmax over a row of which some entries take no part.
#pragma once

#include <span>

namespace assay::reference {

/// exp(x - max) / sum over the entries that `seen` marks, 0 elsewhere, in place. Without any entry the row becomes
/// zeros: transformers gives such rows (queries that are padding) a uniform distribution, and nobody may read them.
/// @param seen  [x.size()], or empty for all
/// Source: torch.nn.functional.softmax in fp32, as eager_attention_forward and Gemma4TextRouter use it.
void softmax(std::span<float> x, std::span<const char> seen);

}  // namespace assay::reference
