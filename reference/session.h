// The oracle at work: the order in which blocks run, what is kept between calls, and where taps are shown. Not here:
// the blocks (blocks.h), which ops they reach (op_table.h).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "reference/kv_cache.h"
#include "reference/parts.h"

namespace assay::reference {

/// An open checkpoint in the reference engine.
std::unique_ptr<Session> make_session(Parts parts);

}  // namespace assay::reference
