// The other end of the protocol for a shared library (engine/assay_engine.h): a process of ours that loads it and
// answers requests with what it computes. Not here: the harness's end (external.h).
#pragma once

#include <string>

#include "base/result.h"

namespace assay::external {

/// Loads the library and answers on ASSAY_IN and ASSAY_OUT until bye or the end of input. Runs foreign code: for a
/// process that does nothing else. Errors: io, bad_input (no such library, no engine in it, another ABI).
Result<void> serve_library(const std::string& file);

}  // namespace assay::external
