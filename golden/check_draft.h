// What makes a drafter's golden fit to judge by, beside what holds for all (check.h). Private to the room.
#pragma once

#include <span>
#include <vector>

#include "golden/check.h"

namespace assay {

/// One case: `draft` cases hold every tap of every step, quiet and not vacuous, with clusters and ids that rounding
/// does not swap; `speculative` ones ids alone.
std::vector<Finding> check_draft_case(const Plan& plan, const GoldenCase& golden);

/// All of them together: taps that differ from their inputs and from one another, more keys than the window, padding,
/// several steps, and both kinds of speculative decoding.
std::vector<Finding> check_draft_cases(const Plan& plan, std::span<const GoldenCase> cases);

}  // namespace assay
