// Teacher forcing: each op, or each layer, of an engine by itself on transformers' own inputs, so that an error is seen
// where it is born and not where it echoes. Needs an engine with `step`. Not here: the free-running pass, judging.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "golden/store.h"
#include "harness/judge/judge.h"
#include "reports/run.h"

namespace assay {

/// The inputs of every op of a case, all rows. What the golden does not keep is made by the oracle from what it does,
/// op by op, so that its rounding does not add up.
class KnownTaps {
 public:
  /// @param oracle  a session of the reference engine on the case's checkpoint
  static KnownTaps from(Session& oracle, const CaseView& view, const GoldenCase& golden);

  /// The case's own inputs, and of the taps those that the table names as inputs of `id`.
  std::vector<NamedTensor> inputs_of(const Plan& plan, TapId id) const;
  bool has(TapId id) const;
  void set(TapId id, Tensor values);
  const Tensor* find(TapId id) const;

 private:
  std::vector<NamedTensor> inputs_, taps_;
};

/// One op by itself, all rows [rows, columns]. Errors: those of Session::step; bad_output.
Result<std::vector<float>> step_alone(Session& session, TapId id, const KnownTaps& known);

/// Judged by the golden, or by what the oracle made where the case does not keep the tap.
TapResult judge_step(const CaseView& view, const GoldenCase& golden, const KnownTaps& known, TapId id,
                     std::span<const float> made);

struct Forced {
  std::vector<TapResult> ops;     ///< in causal order, those that the engine could step
  std::vector<TapResult> layers;  ///< of each layer its last tap, where its taps could all be stepped one from another
  std::string note;               ///< what was left out, and why
};

/// @param offered  taps that the engine has
Forced force(Session& session, const CaseView& view, const GoldenCase& golden, const KnownTaps& known,
             std::span<const TapId> offered);

}  // namespace assay
