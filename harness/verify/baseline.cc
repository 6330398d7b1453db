#include "harness/verify/baseline.h"

#include <map>
#include <string>
#include <tuple>

#include <fmt/format.h>

namespace assay {

void apply_baseline(std::span<PathResult> results, const Run& baseline) {
  const auto key = [](const PathResult& r) { return std::tie(r.engine, r.golden, r.case_name, r.path); };
  std::map<std::tuple<const std::string&, const std::string&, const std::string&, const std::string&>,
           const PathResult*>
      before;
  for (const PathResult& result : baseline.results) before.emplace(key(result), &result);
  for (PathResult& result : results) {
    const auto found = before.find(key(result));
    if (found == before.end() || result.standing == Standing::known) continue;
    const PathResult& then = *found->second;
    const bool passed = then.verdict == Verdict::pass, passes = result.verdict == Verdict::pass;
    if (passed && passes) {
      const TapResult* worst = worst_tap(then);
      if (worst != nullptr) result.budget_before = worst->stats.worst_ratio;
    } else if (passed) {
      result.standing = Standing::worse;
      result.because = "it passed there";
    } else if (failed(then.verdict) && failed(result.verdict)) {
      result.standing = Standing::as_before;
      result.because = fmt::format("{} in the baseline", name_of(then.verdict));
    }
  }
}

}  // namespace assay
