// What becomes of a run of verify, or of merge: the files that --json, --junit and --markdown ask for, the terminal,
// the exit code. Not here: the reports' forms (reports/).
#pragma once

#include <string>

#include "base/result.h"
#include "reports/run.h"

namespace CLI {
class App;
}

namespace assay {

struct RunReports {
  std::string json, junit, markdown;
  bool verbose = false;

  void add_to(CLI::App* verb);
  /// Writes the files, then prints. Returns the run's exit code. Errors: io.
  Result<int> tell(const Run& run) const;
};

/// A run that --json wrote. Errors: io, bad_input.
Result<Run> read_run(const std::string& file);

}  // namespace assay
