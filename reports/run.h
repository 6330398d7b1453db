// What a run of the harness found: the one result model that every report is a view of. Not here: how results come
// about (harness), how they look (terminal.h, json.h, junit.h, markdown.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/agreement.h"
#include "base/error_stats.h"
#include "base/tolerance.h"

namespace assay {

enum class Verdict { pass, fail_numeric, fail_shape, fail_nan, unsupported, crash, timeout, no_golden };

/// `pass`, `fail-numeric`...
std::string_view name_of(Verdict verdict);
std::optional<Verdict> parse_verdict(std::string_view name);
/// Anything but pass, unsupported and no_golden: something was judged, and was wrong.
bool failed(Verdict verdict);

/// What known failures and a baseline make of a result.
enum class Standing {
  judged,           ///< it counts as its verdict says
  known,            ///< it failed, as a known failure says it would: no failure
  unexpected_pass,  ///< it passed, though a known failure covers it: told, a failure under --strict
  expired,          ///< it failed, and the known failure that covers it has expired: a failure again
  as_before,        ///< it did not pass in the baseline either: no failure
  worse,            ///< it passed in the baseline and does not now: a failure, whatever its verdict
};

/// `judged`, `unexpected-pass`...
std::string_view name_of(Standing standing);
std::optional<Standing> parse_standing(std::string_view name);

/// One tap of one path, or the generated ids.
struct TapResult {
  std::string tap;   ///< `text.layer.07.attn.q`, `generated_ids`
  std::string mode;  ///< which taps the engine was asked for: `taps` (all), `logits` (nothing else) or `ids` (none)
  Verdict verdict = Verdict::pass;
  std::vector<std::int64_t> shape;  ///< [B, T, ...]
  std::vector<std::int64_t> worst;  ///< index of stats.worst in that shape; empty if nothing was compared
  ErrorStats stats;
  Tolerance tolerance;
  double rms_limit = 0;                     ///< 0 = none
  std::optional<Agreement> agreement = {};  ///< of logits that were compared
  std::string note;                         ///< why, where numbers do not say it

  bool operator==(const TapResult& other) const;
};

/// One engine on one path of one case.
struct PathResult {
  std::string engine, golden, variant, case_name, path;
  Verdict verdict = Verdict::pass;  ///< that of the first tap in causal order that failed
  std::string note;
  double seconds = 0;
  std::string rerun;  ///< the command that runs just this
  std::vector<TapResult> taps;
  Standing standing = Standing::judged;
  std::string because = {};                  ///< of a standing: the known failure's reason, the baseline's verdict
  std::optional<double> budget_before = {};  ///< worst share of a tolerance in the baseline, where both passed

  bool operator==(const PathResult& other) const = default;
};

struct Machine {
  std::string cpu;
  int cores = 0;

  bool operator==(const Machine& other) const = default;
};

/// What results depend on, by name: `program`, `engines`, `goldens`... In a fixed order.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// What has to be judged, `ENGINE:VARIANT:PATH` each.
struct Demands {
  std::vector<std::string> built_in;  ///< must be supported, and judged where nothing was left out
  bool nothing_left_out = false;
  std::vector<std::string> asked;  ///< must be judged
  bool strict = false;

  bool operator==(const Demands& other) const = default;
};

/// Of a run that is one part of a larger one: what it takes to put that together.
struct Shard {
  int index = 1, of = 1;
  Facts about;
  std::vector<std::string> units;  ///< of the whole run, in its order; as unit_name spells them
  Demands demands;

  bool operator==(const Shard& other) const = default;
};

struct Run {
  std::string version;
  Machine machine;
  double seconds = 0;
  std::vector<PathResult> results;
  std::vector<std::string> unmet;  ///< what had to be supported or judged, and was not
  std::optional<Shard> shard = {};
  std::vector<std::string> expired = {};  ///< known failures whose day has passed; no effect on the exit code

  bool operator==(const Run& other) const = default;
};

/// One case on one engine, which one process runs: `cpu e2b-tails/short`.
std::string unit_name(std::string_view engine, std::string_view golden, std::string_view case_name);

/// Whether it counts as a failure: it failed and nothing excuses that, or it passed in the baseline and does not now.
bool fails(const PathResult& result);

struct Counts {
  int passed = 0, failed = 0, unsupported = 0, no_golden = 0, known = 0, as_before = 0;

  void add(const PathResult& result);
  int all() const { return passed + failed + unsupported + no_golden + known + as_before; }
};
/// Of paths; all engines, or one.
Counts count(const Run& run, std::string_view engine = {});

/// DESIGN.md section 6: 1 a failure or something unmet, 3 nothing was judged, 0 else. Known failures were judged.
int exit_code(const Run& run);

/// The tap with the largest share of its tolerance among those that were compared; null if none was.
const TapResult* worst_tap(const PathResult& result);

/// The first tap that failed, or null.
const TapResult* first_failure(const PathResult& result);

/// `[2, 17, 5]`
std::string index_text(const std::vector<std::int64_t>& index);

}  // namespace assay
