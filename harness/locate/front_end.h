// `locate` for the front end: the first wrong stage of the first selected case that fails, and the faults that give the
// same. Each stage is computed on transformers' own input to it, so that a wrong one is where the error is born. Not
// here: engines (locate.h), judging stages (harness/frontend).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "golden/front_end.h"
#include "harness/faults/fault.h"
#include "harness/locate/locate.h"
#include "model/processor/front_end.h"

namespace assay {

/// `front-end`, or with faults in it `front-end+fault=bos-missing`. Errors: bad_input.
Result<FrontEnd> make_front_end(std::string_view spelt);

/// @param spelt  the name that results get
/// Errors: those of make_front_end and verify_front_end; io.
Result<Located> locate_front_end(const FrontEndGolden& golden, std::string_view spelt, const LocateOptions& options);

/// The faults of the same stages that give what these steps give on a case, ranked. Errors: those of judge_stages.
Result<std::vector<Hypothesis>> front_end_hypotheses(const FrontEndGolden& golden, const FrontEndCase& one,
                                                     const std::vector<TapResult>& seen);

}  // namespace assay
