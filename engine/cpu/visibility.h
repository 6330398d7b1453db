// Who sees whom: the causal, sliding, image-block and packed-prompt masks, all of which are ranges of keys. Holes of
// padding inside a range are Sequence::Row::real. Not here: attention.
#pragma once

#include "engine/cpu/sequence.h"
#include "model/plan.h"

namespace assay::cpu {

struct KeyRange {
  int from, to;  ///< numbers of keys; from >= to: none
};

/// The keys that token t of row b of the call sees: itself and, in a sliding layer, the window - 1 before it; of its
/// own image or video block also those behind it, inside the window (blocks = inside_window) or wherever they are
/// (beyond_window). Another packed prompt is not seen, nor is padding on the left.
/// Source: create_masks_for_vision_model (gemma4), create_masks_for_generate with block_sequence_ids (gemma4_unified).
KeyRange visible(const Sequence& sequence, int window, Blocks blocks, int b, int t);

}  // namespace assay::cpu
