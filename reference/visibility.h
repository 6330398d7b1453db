// Who sees whom: the causal, sliding and image-block masks. Not here: attention itself (ops/attention.h).
#pragma once

#include <span>

#include "model/plan.h"
#include "reference/sequence.h"

namespace assay::reference {

/// Marks the keys that a query sees.
/// @param row    batch row
/// @param query  index of the query among sequence.keys()
/// @param seen   [sequence.keys()]
/// A sliding layer's query sees itself and the window - 1 keys before it. A key in the query's own image or video block
/// is seen too: only inside the window (blocks = inside_window; sliding layers alone), or wherever it is
/// (beyond_window). Another packed prompt is not seen. Padding is never seen. Source: create_masks_for_vision_model
/// (gemma4), create_masks_for_generate with block_sequence_ids (gemma4_unified).
void visible(const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen);

}  // namespace assay::reference
