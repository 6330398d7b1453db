// Rotary position embedding of image patches. Not here: one position a token (rope.h).
#pragma once

#include <cstdint>
#include <span>

#include "base/rows.h"
#include "model/plan.h"

namespace assay::reference {

/// Column and row of a patch; -1, -1 is padding.
struct PatchPosition {
  std::int64_t x = 0, y = 0;
  bool padding() const { return x == -1 && y == -1; }
};

/// Turns the first half of every head by x, the second by y, each as a head of its own: lanes i and i + d/4 of a half
/// form pair i. In place. Positions are taken as they are, also those of padding.
/// @param x          [patches, heads * d]
/// @param head_dim   d, a multiple of 4
/// @param positions  [patches]
/// @param rope       inv_freq [d / 4]
/// Source: Gemma4VisionRotaryEmbedding, apply_multidimensional_rope (transformers 5.22.2).
void rope_2d(Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope);

}  // namespace assay::reference
