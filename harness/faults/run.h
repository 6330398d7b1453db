// Holds the suite against a fault: injects it into the reference engine or the front end, runs goldens, and says
// whether and where it showed. Not here: the catalogue, printing.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "golden/front_end.h"
#include "golden/store.h"
#include "harness/faults/fault.h"

namespace assay {

/// What one golden made of a fault.
struct Sighting {
  enum Place {
    unseen,       ///< every tap within tolerance
    exact,        ///< the first wrong tap is the one where the fault must show
    right_after,  ///< it is the next tap that the case holds
    generating,   ///< no prompt shows it, the logits of a generated token do: taps are not recorded there
    elsewhere,    ///< it is another one
  };
  std::string golden, case_name, path;
  std::string expected, first;  ///< taps or stages; first is empty when unseen
  Place place = unseen;
  double ratio = 0;  ///< the largest error over its tolerance, of all that was judged
  /// In lower precision, of a fault that is not seen: where the fault alone, without any rounding, comes nearest to
  /// what is allowed there; its largest error, and how far transformers itself moves on that tap. `ratio` is that
  /// one's.
  std::string nearest = {};
  double effect = 0, noise = 0;
};

struct FaultOutcome {
  std::string fault;
  bool control = false;             ///< must not show at all
  std::vector<Sighting> sightings;  ///< one a golden that has something to bend
  std::string error;                ///< the fault could not be run

  int count(Sighting::Place place) const;
  bool detected() const;  ///< some golden shows it
  bool placed() const;    ///< where it shows, it shows at its tap or right after it
  /// Detected and placed; for a control: run, and not flagged.
  bool as_it_should() const;
  double ratio() const;
  /// In lower precision: nothing of it lies outside what the arithmetic should lose.
  bool below_budget() const;
};

/// Which of the golden's cases and paths are run is the fault's matter. Of all of them the sighting earliest in causal
/// order counts: cases keep different taps and rows, and an error can only show later than where it is born.
/// @param arithmetic  fp32; or bf16 or fp16: the bent oracle's results are then rounded to it and judged by what that
///                    should lose, and one sighting ends the search
Result<std::vector<Sighting>> run_fault(const Fault& fault, const GoldenEntry& golden,
                                        std::string_view arithmetic = "fp32");

/// Whether a fault can be tried in lower precision: stages of the front end and ids alone are exact, or wrong.
bool has_budget(const Fault& fault);

/// A fault of the front end: cases that hold its stage come first, and of all the sighting at the earliest stage
/// counts. Errors: those of loading a case and of judging it.
Result<Sighting> run_fault(const Fault& fault, const FrontEndGolden& golden);

/// What faults are held against.
struct FaultGoldens {
  std::vector<GoldenEntry> models;
  std::optional<FrontEndGolden> front_end;
};

/// Every fault on every golden of its kind, in parallel processes; outcomes in the order of `chosen`. In lower
/// precision the first golden that shows a fault is its last.
/// @param ended  called as soon as a fault is done, with the number of those that are
std::vector<FaultOutcome> run_faults(const std::vector<const Fault*>& chosen, const FaultGoldens& goldens, int children,
                                     const std::function<void(const FaultOutcome&, std::size_t)>& ended,
                                     std::string_view arithmetic = "fp32");

}  // namespace assay
