// Where an engine first goes wrong on a case, and what might explain it: as text for a terminal, with a chart of how
// the error grows, and as JSON (schema/location.schema.json). Not here: finding it (harness/locate).
#pragma once

#include <string>
#include <vector>

#include "reports/run.h"

namespace assay {

/// A fault of the catalogue beside what the engine gave.
struct Hypothesis {
  std::string fault, row, what, shipped_in;
  std::vector<std::string> links;
  /// Of the first wrong tap: RMS of the difference over RMS of the values; from the golden, and from the oracle with
  /// this fault in it.
  double before = 0, after = 0;
  int explained = 0, wrong = 0;   ///< of so many wrong taps it gives so many from the first on
  double left = 0;                ///< the largest difference in them over what is allowed
  bool tied = false;              ///< as good as the one in the first place: this case cannot tell them apart
  std::string until;              ///< the first piece that it does not give; empty: it gives all
  std::vector<std::string> with;  ///< faults in the oracle beside it: two bugs in one engine
};

struct Location {
  PathResult path;                     ///< the free-running pass: taps in causal order, `rerun` is verify's command
  std::vector<TapResult> forced;       ///< each op by itself on transformers' inputs; empty: the engine offers no step
  std::vector<TapResult> layers;       ///< each layer's last tap, when the layer is fed transformers' inputs
  std::string forced_note;             ///< why there is no such pass, or what it leaves out
  std::string before, first;           ///< the last right tap before the first wrong one; empty: there is none
  std::string born;                    ///< the first wrong tap of the teacher-forced pass
  std::vector<Hypothesis> hypotheses;  ///< best first
  int tried = 0;                       ///< faults
  std::string rerun, rerun_op;         ///< commands: this; the op alone
  double seconds = 0;
};

/// A row of the chart: a layer of a part, or a tap around the layers.
struct GrowthRow {
  std::string name;   ///< `text.layer.03`, `text.embed`
  std::string worst;  ///< its tap with the largest share of what is allowed
  double error = 0;   ///< that tap's RMS of the difference over RMS of the values
  double ratio = 0;   ///< its largest difference over what is allowed
  double alone = -1;  ///< the same ratio of the layer, or tap, by itself; -1: not known
  bool wrong = false;
};
std::vector<GrowthRow> growth(const Location& location);

std::string location_text(const Location& location, bool color);
std::string to_json(const Location& location);

}  // namespace assay
