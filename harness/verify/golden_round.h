// A drafter's round as transformers had it: in lower precision an engine may rightly choose another token where two
// logits are close, and all that follows is another round's. So its steps get the golden's tokens, as they did where
// the noise was measured; its own choices are judged as ids. Not here: drafting (harness/drive/draft.h).
#pragma once

#include "golden/store.h"
#include "harness/drive/drive.h"

namespace assay {

/// @param golden  of path draft
RoundTokens round_of(const GoldenCase& golden, int batch);

}  // namespace assay
