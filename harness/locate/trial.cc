#include "harness/locate/trial.h"

#include <algorithm>

namespace assay {
namespace {

/// What an engine may do otherwise and be right; a control of the catalogue.
constexpr std::string_view kOtherRounding = "sums-in-fp32";

}  // namespace

Result<Trial> Trial::open(const GoldenEntry& entry, const std::string& case_name, Path path) {
  ASSAY_TRY(golden, Golden::open(entry.file));
  ASSAY_TRY(models, open_models(entry, golden.info()));
  ASSAY_TRY(one, golden.load(case_name));
  ASSAY_TRY(inputs, CaseInputs::from(one.inputs, entry.name + "/" + case_name));
  return Trial(std::move(models), std::move(one), std::move(inputs), path);
}

Result<std::optional<std::vector<Hypothesis>>> Trial::hypotheses(std::span<const Fault* const> bent) {
  std::vector<const Fault*> engine = {find_fault(kOtherRounding)};
  engine.insert(engine.end(), bent.begin(), bent.end());
  ASSAY_TRY(view, case_view(models_.checkpoint.plan, golden_, inputs_, "fp32"));
  Watch watch{.path = path_};
  for (const GoldenTap& tap : golden_.taps) watch.taps.push_back(tap.id);
  std::vector<Piece> seen;
  for (const bool generate : {false, true}) {  // only where no prompt shows it
    watch.generate = generate;
    ASSAY_TRY(oracle, bent_oracle(engine, models_.checkpoint, target()));
    if (!oracle.bent && engine.size() > 2) {  // one may leave the other nothing to bend
      std::reverse(engine.begin() + 1, engine.end());
      ASSAY_TRY(turned, bent_oracle(engine, models_.checkpoint, target()));
      oracle = std::move(turned);
    }
    if (!oracle.bent) return std::optional<std::vector<Hypothesis>>();
    ASSAY_TRY(observed, observe(*oracle.session, oracle.target.get(), golden_, inputs_, watch));
    seen = evidence(view, golden_, observed, watch);
    if (birth(seen)) break;
  }
  const std::optional<Birth> born = birth(seen);
  if (!born) return std::optional<std::vector<Hypothesis>>();
  std::vector<Hypothesis> found;
  for (const bool earlier : {false, true}) {
    if (earlier && !found.empty() && explains_all(found.front())) break;
    for (const Fault* fault : suspects(models_.checkpoint.plan, path_, *born, earlier)) {
      ASSAY_TRY(pieces, suspect(*fault, view, watch));
      if (pieces == nullptr) continue;
      if (const auto how_well = score(seen, *pieces)) found.push_back(hypothesis({fault}, *how_well));
    }
    rank(found);
  }
  if (!found.empty()) return std::optional(std::move(found));
  for (const Suspect& two : two_at_once(suspects(models_.checkpoint.plan, path_, *born, false))) {
    const auto pieces = suspect_evidence(two, models_.checkpoint, target(), view, golden_, inputs_, watch);
    if (!pieces || !*pieces) continue;
    if (const auto how_well = score(seen, **pieces)) found.push_back(hypothesis(two, *how_well));
  }
  rank(found);
  return std::optional(std::move(found));
}

/// Null where this model has nothing to bend, or the oracle will not run so.
Result<const std::vector<Piece>*> Trial::suspect(const Fault& fault, const CaseView& view, const Watch& watch) {
  const auto [known, fresh] = known_.try_emplace({fault.name, watch.generate});
  if (fresh) {
    auto pieces = suspect_evidence({&fault}, models_.checkpoint, target(), view, golden_, inputs_, watch);
    if (pieces && *pieces) {
      known->second = std::move(**pieces);
      for (Piece& piece : *known->second) piece.expected = {};  // the engine's pieces have it
    }
  }
  return known->second ? &*known->second : nullptr;
}

}  // namespace assay
