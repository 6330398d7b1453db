// When an op is worth threads. Below this a team's start and end cost more than the work, and on a busy machine far
// more: threads that wait for one another spin (22 tokens of a tiny model: 20 s instead of 0.01 s beside eight
// compilers).
#pragma once

#include <cstdint>

namespace assay::reference {

/// @param work  multiply-adds, or as much as one
inline bool worth_threads(std::int64_t work) { return work >= 1 << 20; }

}  // namespace assay::reference
