// What every report says in its own form: a line per engine and golden, and why a path failed. Not here: layout.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "reports/run.h"

namespace assay {

/// One engine on one golden. The pointers point into the run.
struct Line {
  std::string engine, golden;
  int passed = 0, failed = 0, unsupported = 0, no_golden = 0;
  const TapResult* worst = nullptr;  ///< with the largest share of its tolerance; null if nothing was compared
  const PathResult* worst_in = nullptr;
};
/// In the order of the run.
std::vector<Line> lines_of(const Run& run);

struct Explanation {
  std::string title;  ///< `reference e2b/short/prefill: fail-numeric at text.layer.03.out`
  std::vector<std::pair<std::string, std::string>> facts;
};
/// Why a path failed: its first tap that did, in full, and the command that re-runs it.
Explanation explain(const PathResult& result);

/// What a path that did not fail still has to say: its own note and those of its taps, each once.
std::vector<std::string> notes(const PathResult& result);

/// Worst difference as a share of what is allowed: `2.3 %`, `45x` from ten times on.
std::string share_text(const TapResult& tap);

}  // namespace assay
