// What a model computes on a golden's case: a session driven through it, and again with less where something in it is
// broken. Bent oracles, and any other session. Not here: judging what was seen (harness/judge).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "harness/faults/fault.h"
#include "harness/judge/judge.h"
#include "model/checkpoint.h"
#include "reference/rounded.h"

namespace assay {

/// A golden's checkpoint, and a drafter's target.
struct Models {
  Checkpoint checkpoint;
  std::optional<Checkpoint> target;
};
Result<Models> open_models(const GoldenEntry& entry, const GoldenInfo& info);

/// How the taps of a case are judged. It refers to `plan`, `golden` and `inputs`.
/// Errors: bad_input (media of a wrong shape).
Result<CaseView> case_view(const Plan& plan, const GoldenCase& golden, const CaseInputs& inputs,
                           std::string_view arithmetic);

struct Observed {
  Driven driven;
  /// Its rows have another number than its inputs ask for; neither it nor what follows it is in `driven`.
  std::optional<TapId> misshapen;
  bool finite = true;  ///< false: logits while generating were not, and nothing was generated
};

struct Watch {
  Path path{};
  std::vector<TapId> taps;
  bool generate = false;  ///< what the case generates, too
  /// The steps of a drafter's round get the golden's tokens: in lower precision others may be chosen, rightly.
  bool golden_round = false;
};

/// A drafter's case needs its target beside it. Errors: those of driving, but for a tap that is misshapen.
Result<Observed> observe(Session& session, Session* target, const GoldenCase& golden, const CaseInputs& inputs,
                         const Watch& watch);

/// The oracle with faults in it.
struct BentOracle {
  std::unique_ptr<Session> session, target;
  bool bent = false;  ///< each of them had something to bend
};

/// @param target    of a drafter, else null
/// @param rounding  of what every op returns, the bent ones too; none: fp32
/// Errors: bad_input (a tensor that is not there).
Result<BentOracle> bent_oracle(std::span<const Fault* const> faults, const Checkpoint& checkpoint,
                               const Checkpoint* target, std::optional<reference::Rounding> rounding = {});

/// One bent session, of whichever model the checkpoint is; the true one where there are no faults.
/// Errors: unsupported (this model has nothing to bend).
Result<std::unique_ptr<Session>> bent_session(std::span<const Fault* const> faults, const Checkpoint& checkpoint);

}  // namespace assay
