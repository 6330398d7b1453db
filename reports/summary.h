// What every report says in its own form: a line per engine and golden, and why a path failed. Not here: layout.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/run.h"

namespace assay {

/// One engine on one golden. The pointers point into the run.
struct Line {
  std::string engine, golden;
  Counts counts;
  const TapResult* worst = nullptr;  ///< with the largest share of its tolerance; null if nothing was compared
  const PathResult* worst_in = nullptr;
};
/// In the order of the run.
std::vector<Line> lines_of(const Run& run);

struct Explanation {
  std::string title;  ///< `reference e2b/short/prefill: fail-numeric at text.layer.03.out`
  std::vector<std::pair<std::string, std::string>> facts;
};
/// Why a path failed: its first tap that did, in full, and the command that re-runs it.
Explanation explain(const PathResult& result);

/// What a path that did not fail still has to say: its own note and those of its taps, each once.
std::vector<std::string> notes(const PathResult& result);

/// A path that passed, in the baseline too, and uses more of its tolerances than there: by a tenth and a hundredth of a
/// tolerance at least, since other processors sum in other orders. The pointers point into the run.
struct Growth {
  const PathResult* result = nullptr;
  const TapResult* tap = nullptr;  ///< the worst one now
  double before = 0, now = 0;
};
/// The largest first.
std::vector<Growth> growths(const Run& run);

/// `reference e2b/short/prefill: 12 % -> 40 % of tolerance at text.logits`
std::string text_of(const Growth& growth);

/// A line for each result that passed where a known failure says otherwise.
std::vector<std::string> unexpected_passes(const Run& run);

/// `1 known failure`, `2 known failures, 1 failure as in the baseline`; empty if there is none.
std::string excused_text(const Counts& counts);

/// How logits agree over everything that was judged of an engine (of one golden, if named): a prompt's, in the run that
/// wanted nothing else where there was one, and those that ids were chosen from. nullopt if none were compared.
std::optional<Agreement> agreement_of(const Run& run, std::string_view engine, std::string_view golden = {});
std::optional<Agreement> agreement_of(const PathResult& result);
/// `KL 1.2e-06, at most 3.4e-05; top-1 120 of 121`
std::string agreement_text(const Agreement& agreement);

/// Worst difference as a share of what is allowed: `2.3 %`, `45x` from ten times on.
std::string share_text(const TapResult& tap);

}  // namespace assay
