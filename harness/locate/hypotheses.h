// Which fault of the catalogue gives what an engine gave: the oracle with the fault in it is run on the same case, and
// its taps are laid beside the engine's. Not here: the catalogue (harness/faults), processes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "harness/faults/fault.h"
#include "harness/locate/evidence.h"
#include "model/checkpoint.h"
#include "reports/location.h"

namespace assay {

/// How well a bent oracle gives what the engine gave.
struct Score {
  int reach = 0;                           ///< pieces, from the first on, that agree
  int explained = 0;                       ///< of these, those in which the engine is wrong
  int wrong = 0;                           ///< pieces in which the engine is wrong
  double before = 0, after = 0, left = 0;  ///< as Hypothesis has them
};
/// Nothing where it is no explanation: less than half of the first wrong piece's deviation goes away.
std::optional<Score> score(std::span<const Piece> engine, std::span<const Piece> suspect);

/// Where the engine goes wrong: orders of taps.
struct Birth {
  std::optional<int> after;  ///< the last piece that is right before the first wrong one
  int first = 0;
};
/// Nothing where every piece is right.
std::optional<Birth> birth(std::span<const Piece> engine);

/// The faults that may show so on this model and path: those born between the last right and the first wrong piece.
/// @param earlier  instead those born before it: a case may be too short to show them there
std::vector<const Fault*> suspects(const Plan& plan, Path path, const Birth& birth, bool earlier);

/// Faults that may be in an engine together; one, as a rule.
using Suspect = std::vector<const Fault*>;

/// Each two of them, for where none by itself explains anything: two bugs may leave their marks on the same tap.
/// Nothing where there are too many to try.
std::vector<Suspect> two_at_once(const std::vector<const Fault*>& suspects);

/// Runs the oracle with faults in it. Nothing where this model has nothing to bend.
Result<std::optional<std::vector<Piece>>> suspect_evidence(const Suspect& suspect, const Checkpoint& checkpoint,
                                                           const Checkpoint* target, const CaseView& view,
                                                           const GoldenCase& golden, const CaseInputs& inputs,
                                                           const Watch& watch);

/// The first is what it is called.
Hypothesis hypothesis(const Suspect& suspect, const Score& score);
/// Best first, and marks those that are as good as the best.
void rank(std::vector<Hypothesis>& hypotheses);
/// It gives every wrong tap.
bool explains_all(const Hypothesis& hypothesis);

}  // namespace assay
