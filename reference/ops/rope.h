// Rotary position embedding on half-split lanes. Not here: the frequencies (model/plan.h), which token has which
// position.
#pragma once

#include <cstdint>
#include <span>

#include "base/rows.h"
#include "model/plan.h"

namespace assay::reference {

/// Turns lanes i and i + d/2 of every head by position * inv_freq[i], in place; frequency 0 leaves a pair as it is.
/// @param x          [tokens, heads * d]
/// @param head_dim   d, even
/// @param positions  [tokens]
/// @param rope       inv_freq [d / 2]
/// Angles are fp32, position times frequency, as in transformers: at large positions that rounding is part of the
/// answer. Source: Gemma4TextRotaryEmbedding.forward, apply_rotary_pos_emb (transformers 5.22.2).
void rope(Rows<float> x, int head_dim, std::span<const std::int64_t> positions, const Rope& rope);

}  // namespace assay::reference
