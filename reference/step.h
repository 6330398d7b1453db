// Teacher forcing: one op on given inputs. Not here: running them in order (session.cc), those
// of the towers (step_towers.h).
#pragma once

#include <span>

#include "engine/engine.h"
#include "reference/parts.h"

namespace assay::reference {

/// Makes `tap` from the inputs that taps.inc lists for it, by their full names: taps as [B, T, ...] float32, and
/// input_ids, attention_mask, position_ids, mm_token_type_ids as transformers names them.
/// Errors: bad_input, naming the input that is missing or has a wrong shape.
Result<void> step_tap(const Parts& parts, TapId tap, std::span<const NamedTensor> inputs, TapSink& taps);

}  // namespace assay::reference
