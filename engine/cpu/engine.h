// The CPU engine: every variant, on the best kernels that the machine has. Not here: choosing an instruction set
// (kernels/registry.h, limit_isa).
#pragma once

#include "engine/cpu/options.h"
#include "engine/engine.h"

namespace assay {

Engine cpu_engine(const cpu::Options& options = {});

}  // namespace assay
