// What must not be silent: combinations of engine, variant and path that a run has to judge. Not here: how they are
// judged.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "reports/run.h"

namespace assay {

struct Requirement {
  std::string engine, variant, path;  ///< path: a kind, or a name such as `chunked:7`
};

/// required.inc, a path each.
std::vector<Requirement> built_in_requirements();

/// `ENGINE:VARIANT:PATH`. Errors: bad_input.
Result<Requirement> parse_requirement(std::string_view text);

/// A line for each requirement that has an unsupported result and, where `all_judged`, for each that has no result
/// which passed or failed.
std::vector<std::string> unmet(const Run& run, std::span<const Requirement> requirements, bool all_judged);

/// --strict: a line for each engine with results that are unsupported or without a golden, and for each with some that
/// passed though a known failure covers them.
std::vector<std::string> not_strict(const Run& run);

}  // namespace assay
