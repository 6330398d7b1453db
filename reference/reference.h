// The reference engine: the scalar oracle behind the engine contract. Not here: how it works (session.h).
#pragma once

#include "engine/engine.h"

namespace assay {

/// fp32, every tap, every path, step. Readable before fast.
const Engine& reference_engine();

}  // namespace assay
