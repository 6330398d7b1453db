// Whether locate would call a fault by its name: what an engine with the fault gives is laid beside every suspect of
// the catalogue. The engine's sums are rounded otherwise than the oracle's, as another engine's would be. One fault, or
// two at once. Not here: whether a fault is found at all (harness/faults/run.h); a case of it (trial.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/faults/run.h"

namespace assay {

struct Naming {
  enum Place {
    first,  ///< the best hypothesis is the fault
    tied,   ///< on this case the best one and the fault give the same, within what is allowed
    other,  ///< another is better
    none,   ///< nothing of the catalogue looks like it
  };
  std::string fault, golden, case_name, path;
  Place place = none;
  std::string best;             ///< the first hypothesis
  double before = 0, left = 0;  ///< as Hypothesis has them, of the best
  std::string error;            ///< it could not be tried

  bool named() const { return place == first || place == tied; }
};

/// Two faults of one golden in one engine.
struct PairNaming {
  std::string golden, case_name, path;
  std::string faults[2];
  std::string best;    ///< the first hypothesis; empty: none
  bool named = false;  ///< one of the two is the best hypothesis, or as good as it
  std::string error;
};

struct Named {
  std::vector<Naming> faults;  ///< one for each golden that shows a fault, in the order of the outcomes; stages too
  std::vector<PairNaming> pairs;
};

struct NamingOptions {
  bool singly = true;  ///< each fault by itself
  int pairs = 0;       ///< drawn at random from the faults that show on the same case by themselves, all as likely
  std::uint64_t seed = 1;
  int children = 0;
  /// Called as soon as a case is done with what came of it, and with the number of cases that are done and of all.
  std::function<void(const Named& here, std::size_t done, std::size_t all)> ended = {};
};

/// @param outcomes  of faults that were run
Named name_faults(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens, const NamingOptions& options);

}  // namespace assay
