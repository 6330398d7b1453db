// What a valid configuration may ask for and this engine's kernels have no room for, told before anything is computed.
// Not here: what no engine could run (model/plan.h), ops without a kernel (kernel_table.h).
#pragma once

#include "base/result.h"
#include "kernels/formats.h"
#include "model/plan.h"

namespace assay::cpu {

/// @param kv  of cached keys and values
/// Errors: unsupported, naming the key of config.json, or `kv`.
Result<void> check_limits(const Plan& plan, kernels::Format kv);

}  // namespace assay::cpu
