// What an engine, or a bent oracle, gave on one case, cut into the pieces that can be compared: taps in causal order,
// of a drafter's round step by step, and what was generated. Not here: what explains it (hypotheses.h).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/tolerance.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "harness/faults/observe.h"
#include "harness/judge/judge.h"

namespace assay {

struct Piece {
  std::string name;  ///< a tap, `generated_logits` or `generated_ids`
  int step = 0;      ///< of a drafter's round
  /// Causal order of the tap, as TapId::order; what was generated comes behind them all.
  int order = 0;
  std::vector<float> expected;  ///< the golden's values that it keeps
  std::vector<float> actual;    ///< at the same places; empty: it had a wrong shape, or was not finite
  Tolerance tolerance;
  bool wrong = false;  ///< the judge's verdict
};

/// In causal order; ends with what is misshapen.
std::vector<Piece> evidence(const CaseView& view, const GoldenCase& golden, const Observed& observed,
                            const Watch& watch);

}  // namespace assay
