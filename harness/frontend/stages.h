// A front-end case held against its golden: each stage computed on transformers' own input to it (`stage`), and the
// tensors that the processor makes of the files in one go (`whole`). Not here: processes, whole runs (verify.h).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "golden/front_end.h"
#include "model/processor/front_end.h"
#include "reports/run.h"

namespace assay {

/// Stages in the order in which they happen; those that nothing here computes are `unsupported`.
/// @param filter  as Selection has it, of `front-end/CASE/process/STAGE`
/// Errors: bad_input (the request), io, and those of opening the checkpoint. A step that fails is a result.
Result<std::vector<TapResult>> judge_stages(const FrontEndGolden& golden, const FrontEndCase& one,
                                            const FrontEnd& steps, std::string_view filter = {});

/// Where a stage (`image.0.resized`) stands among the others; each kind of media goes through its own.
int stage_order(std::string_view name);

}  // namespace assay
