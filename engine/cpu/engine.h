// The CPU engine: every variant, on the best kernels that the machine has. Not here: how its options are spelt
// (harness/engines).
#pragma once

#include "engine/cpu/options.h"
#include "engine/engine.h"

namespace assay {

Engine cpu_engine(const cpu::Options& options = {});

}  // namespace assay
