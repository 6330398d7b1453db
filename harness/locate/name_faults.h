// Whether locate would call a fault by its name: what an engine with the fault gives is laid beside every suspect of
// the catalogue. The engine's sums are rounded otherwise than the oracle's, as another engine's would be. One fault, or
// two at once. Not here: whether a fault is found at all (harness/faults/run.h).
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

/// One for each golden that shows a fault, in the order of `outcomes`; of the front end too.
/// @param ended  called with the number of cases that are done and of all
std::vector<Naming> name_faults(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens, int children,
                                const std::function<void(std::size_t, std::size_t)>& ended);

/// Two faults of one golden in one engine.
struct PairNaming {
  std::string golden, case_name, path;
  std::string faults[2];
  std::string best;    ///< the first hypothesis; empty: none
  bool named = false;  ///< one of the two is the best hypothesis, or as good as it
  std::string error;
};

/// Pairs drawn at random from the faults that show on a golden by themselves.
/// @param outcomes  of faults that were run
std::vector<PairNaming> name_pairs(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens, int pairs,
                                   std::uint64_t seed, int children,
                                   const std::function<void(std::size_t, std::size_t)>& ended);

}  // namespace assay
