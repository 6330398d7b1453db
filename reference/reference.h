// The reference engine: the scalar oracle behind the engine contract. Not here: how it works (session.h).
#pragma once

#include "engine/engine.h"
#include "reference/rounded.h"

namespace assay {

/// fp32, every tap, every path, step. Readable before fast.
const Engine& reference_engine();

/// The oracle with every op's result rounded (rounded.h): a true engine of lower precision, as slow as the oracle.
/// @param to  bf16 or fp16
Engine rounded_reference_engine(reference::Rounding to);

}  // namespace assay
