// Where an engine first goes wrong, on the first selected case that fails: free-running, teacher-forced, and which
// fault of the catalogue would look the same. Everything that runs an engine runs in child processes. Not here: which
// engines there are, printing, the front end (front_end.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/verify/select.h"
#include "harness/verify/verify.h"
#include "reports/location.h"

namespace assay {

struct LocateOptions {
  Selection selection;
  int children = 0;  ///< processes at once; 0 = as many as cores
  std::chrono::duration<double> timeout{300};
  bool hypotheses = true;
  std::function<void(std::size_t done, std::size_t all)> progress;  ///< faults tried
};

struct Located {
  std::optional<Location> location;  ///< nothing where nothing failed
  int passed = 0, unsupported = 0;   ///< paths judged before it
};

/// Errors: those of verify().
Result<Located> locate(const Engine& engine, std::span<Subject> subjects, const LocateOptions& options);

/// One op alone, on transformers' inputs of the first selected case. Errors: those of loading the case; bad_input (no
/// such tap in this model); unsupported (an engine without `step`, or without this tap); those of Session::step.
Result<PathResult> locate_op(const Engine& engine, std::span<const Subject> subjects, const Selection& selection,
                             std::string_view tap, std::chrono::duration<double> timeout);

}  // namespace assay
