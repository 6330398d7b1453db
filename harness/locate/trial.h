// One case of a golden on one path, tried on suspect after suspect: what locate would say of an engine with faults in
// it. Whatever is asked of the same trial shares what its suspects gave. Not here: which faults are asked about
// (name_faults.h), processes.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "golden/store.h"
#include "harness/faults/observe.h"
#include "harness/locate/evidence.h"
#include "harness/locate/hypotheses.h"

namespace assay {

class Trial {
 public:
  /// Errors: those of opening the golden and its checkpoints; bad_input (the case's inputs).
  static Result<Trial> open(const GoldenEntry& entry, const std::string& case_name, Path path);

  /// Best first, of an engine with these faults whose sums are rounded otherwise than the oracle's, as another
  /// engine's would be. Nothing where nothing is wrong, or there is nothing to bend. Errors: those of driving it.
  Result<std::optional<std::vector<Hypothesis>>> hypotheses(std::span<const Fault* const> bent);

  /// Oracles that were run to explain something so far.
  int suspects_run() const { return int(known_.size()); }

 private:
  Trial(Models models, GoldenCase golden, CaseInputs inputs, Path path)
      : models_(std::move(models)), golden_(std::move(golden)), inputs_(std::move(inputs)), path_(path) {}

  const Checkpoint* target() const { return models_.target ? &*models_.target : nullptr; }
  Result<const std::vector<Piece>*> suspect(const Fault& fault, const CaseView& view, const Watch& watch);

  Models models_;
  GoldenCase golden_;
  CaseInputs inputs_;
  Path path_;
  std::map<std::pair<std::string_view, bool>, std::optional<std::vector<Piece>>> known_;
};

}  // namespace assay
