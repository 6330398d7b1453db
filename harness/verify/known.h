// Known failures: cases that are expected to fail, each with a reason and a day from which on it counts again. Not
// here: what that does to counts and exit codes (reports/run.h).
#pragma once

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reports/run.h"

namespace assay {

struct KnownFailure {
  std::string engine = "*", golden = "*", case_name = "*", path = "*";  ///< globs
  std::string reason;
  std::chrono::year_month_day expires;  ///< the last day on which it holds

  bool covers(const PathResult& result) const;
  bool expired(std::chrono::sys_days today) const { return std::chrono::sys_days(expires) < today; }
};

/// A list `known` of tables with `engine`, `golden`, `case`, `path` (globs; at least one of them, the others are `*`),
/// `reason` and `expires` (YYYY-MM-DD): TOML where `file` ends in .toml, else JSON. Errors: io; bad_input, naming the
/// field.
Result<std::vector<KnownFailure>> read_known_failures(const std::filesystem::path& file);

/// Gives each result that an entry covers its standing: the first entry that has not expired decides.
void apply_known(std::span<PathResult> results, std::span<const KnownFailure> known, std::chrono::sys_days today);

/// A line for each entry that has expired.
std::vector<std::string> expired_lines(std::span<const KnownFailure> known, std::chrono::sys_days today);

}  // namespace assay
