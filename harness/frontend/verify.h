// `verify` of the front end: every case in a child process of its own, as engine `front-end`, path `process`. Not here:
// judging one case (stages.h), engines (harness/verify).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "golden/front_end.h"
#include "harness/verify/select.h"
#include "harness/verify/verify.h"
#include "model/processor/front_end.h"
#include "reports/run.h"

namespace assay {

inline constexpr std::string_view kProcess = "process";  ///< the front end's path

/// A selection in two: does it take the front end, does it take engines, and what is left of it for them.
struct Split {
  bool front_end = false, engines = false;
  Selection rest;
};
Split split_front_end(const Selection& selection);

/// The cases that a selection's filter takes, in order.
std::vector<std::string> front_end_cases(const FrontEndGolden& golden, const Selection& selection);

/// The same as units of a run.
std::vector<std::string> front_end_units(const FrontEndGolden& golden, const Selection& selection);

/// Results by case. A crash or a hang is a verdict. Errors: those of `units.keep`; internal.
Result<std::vector<PathResult>> verify_front_end(const FrontEndGolden& golden, const FrontEnd& steps,
                                                 const VerifyOptions& options);

/// One case, in this process.
PathResult verify_front_end_case(const FrontEndGolden& golden, const std::string& name, const FrontEnd& steps,
                                 std::string_view filter = {});

}  // namespace assay
