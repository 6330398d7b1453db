// A baseline: an earlier run that a later one is held against, so that only what got worse fails. Not here: reading
// runs (reports/json.h), times (bench).
#pragma once

#include <span>

#include "reports/run.h"

namespace assay {

/// Gives each result that the baseline judged too its standing: one that fails and failed there is `as_before`, one
/// that passed there and does not now is `worse`, and one that passes in both gets `budget_before`. What a known
/// failure has excused already stays so. What the baseline lacks, or could not judge, counts as it is; what it has
/// beside these results is not looked at.
void apply_baseline(std::span<PathResult> results, const Run& baseline);

}  // namespace assay
