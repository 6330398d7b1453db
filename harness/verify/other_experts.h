// What a golden would hold had transformers chosen the experts that an engine chose. In lower precision a router may
// choose otherwise where two probabilities are close, and all that follows is then another model's: nothing is excused
// for it, the case is worked out again by the oracle with those choices, and the engine is held to that. Not here:
// judging (harness/judge).
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "engine/engine.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "model/checkpoint.h"

namespace assay {

/// Whether an engine of this arithmetic may choose other experts than the golden: it is not fp32, and there are
/// experts.
bool may_choose_otherwise(const Plan& plan, std::string_view arithmetic);

struct OtherExperts {
  /// Text taps, ids and logits are the oracle's with the engine's choices; a margin is left to ids alone.
  GoldenCase golden;
  int rows = 0;  ///< a row counts once a layer and call
  double widest =
      0;  ///< gap between an expert that was dropped and the one taken for it, as a share of what is allowed
  std::string note() const;
};

/// The oracle's run of the case with the experts that `engine` chooses on this path, wherever a router within its
/// tolerance may choose so: both probabilities moved towards each other by what the judge allows each of them.
/// Any other choice is left as the oracle makes it, for the judge to find. nullopt if the engine chose nowhere
/// otherwise, or nowhere as rounding may. Errors: those of driving the engine or the oracle.
Result<std::optional<OtherExperts>> with_experts_of(Session& engine, const Checkpoint& checkpoint,
                                                    const GoldenCase& golden, const CaseInputs& inputs, Path path,
                                                    std::string_view arithmetic);

/// For engines that do not show what they choose: the first layer in which rounding may choose other experts on this
/// path; nullopt if there is none.
struct Unsure {
  int layer = 0;
  int rows = 0;  ///< in all layers and calls
};
Result<std::optional<Unsure>> unsure_experts(const Checkpoint& checkpoint, const GoldenCase& golden,
                                             const CaseInputs& inputs, Path path, std::string_view arithmetic);

}  // namespace assay
