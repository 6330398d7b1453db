// One run in N parts: which cases are a part's, and the parts put together again. Not here: running them (verify.h).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reports/run.h"

namespace assay {

/// `2/8`: the second of eight. Errors: bad_input.
struct ShardOf {
  int index = 1, of = 1;

  static Result<ShardOf> parse(std::string_view text);
  /// Units go round: neighbours are of one golden and cost about the same.
  bool takes(std::size_t unit) const { return int(unit % std::size_t(of)) == index - 1; }
};

/// The run whose parts these are, as one process would have found it, but for times: `seconds` is the sum of all, and
/// where machines differ all are named. What had to be judged is held against the whole.
/// Errors: bad_input (no part of a run, of another run, missing, twice), naming the file.
/// @param names  of the files, for errors
Result<Run> merge_runs(std::span<const Run> parts, std::span<const std::string> names);

/// What `demands` asks of a run, and it has not.
/// @param whole  false for a part: what it did not judge, another part may have
Result<std::vector<std::string>> find_unmet(const Run& run, const Demands& demands, bool whole);

}  // namespace assay
