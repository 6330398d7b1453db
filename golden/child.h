// Work on bytes that nobody vouches for, done in a forked child under limits: what kills or hangs the child is an error
// here. Not here: what is read (store.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace assay {

struct ChildLimits {
  std::chrono::milliseconds deadline = std::chrono::seconds(60);  ///< on the clock
  int cpu_seconds = 30;
  std::int64_t memory = std::int64_t{4} << 30;  ///< bytes beyond what this process has mapped; not under sanitizers
};

/// Runs `work` in a child process and returns what it returned, or bad_input that says how the child ended. `where`
/// names the input in that message. What `work` changes in memory stays in the child. Errors: those of `work`;
/// bad_input; io.
Result<std::string> in_child(const std::string& where, const ChildLimits& limits,
                             const std::function<Result<std::string>()>& work);

}  // namespace assay
