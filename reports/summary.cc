#include "reports/summary.h"

#include <algorithm>

#include <fmt/format.h>

namespace assay {
namespace {

std::string mode_text(const TapResult& tap) {
  if (tap.mode == "taps") return "all taps wanted";
  if (tap.mode == "logits") return "text.logits alone wanted";
  if (tap.mode == "ids") return "no taps wanted, generating";
  return tap.mode;
}

}  // namespace

std::vector<Line> lines_of(const Run& run) {
  std::vector<Line> lines;
  for (const PathResult& result : run.results) {
    auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& known) {
      return known.engine == result.engine && known.golden == result.golden;
    });
    if (line == lines.end()) {
      lines.push_back({.engine = result.engine, .golden = result.golden});
      line = lines.end() - 1;
    }
    if (failed(result.verdict))
      ++line->failed;
    else if (result.verdict == Verdict::unsupported)
      ++line->unsupported;
    else if (result.verdict == Verdict::no_golden)
      ++line->no_golden;
    else
      ++line->passed;
    const TapResult* worst = worst_tap(result);
    if (worst != nullptr && (line->worst == nullptr || worst->stats.worst_ratio > line->worst->stats.worst_ratio)) {
      line->worst = worst;
      line->worst_in = &result;
    }
  }
  return lines;
}

Explanation explain(const PathResult& result) {
  Explanation out;
  const TapResult* tap = first_failure(result);
  out.title = fmt::format("{} {}/{}/{}: {}{}", result.engine, result.golden, result.case_name, result.path,
                          name_of(result.verdict), tap == nullptr ? "" : " at " + tap->tap);
  const auto fact = [&](std::string name, std::string value) {
    out.facts.emplace_back(std::move(name), std::move(value));
  };
  if (!result.note.empty()) fact("why", result.note);
  if (tap != nullptr) {
    if (!tap->note.empty()) fact("why", tap->note);
    fact("mode", mode_text(*tap));
    fact("shape", index_text(tap->shape));
    const ErrorStats& stats = tap->stats;
    if (!tap->worst.empty())
      fact("worst at",
           fmt::format("{}: expected {:.9g}, got {:.9g}", index_text(tap->worst), stats.expected, stats.actual));
    const bool numbers = stats.count > 0 && tap->tap != "generated_ids";  // by how much an id is wrong says nothing
    if (numbers)
      fact("error", fmt::format("max abs {:.3g}, max rel {:.3g}, {} ULP, RMS {:.3g}, NMSE {:.3g}, cosine {:.9g}",
                                stats.max_abs, stats.max_rel, stats.max_ulp, stats.rms, stats.nmse, stats.cosine));
    if (numbers)
      fact("allowed", fmt::format("{:.3g} + {:.3g} |expected|{}", tap->tolerance.atol, tap->tolerance.rtol,
                                  tap->rms_limit > 0 ? fmt::format(", RMS {:.3g}", tap->rms_limit) : ""));
    if (stats.count > 0)
      fact("mismatches", fmt::format("{} of {}{}", stats.mismatches, stats.count,
                                     stats.not_finite > 0 ? fmt::format(", {} not finite", stats.not_finite) : ""));
    const auto others =
        std::count_if(result.taps.begin(), result.taps.end(), [](const TapResult& t) { return failed(t.verdict); }) - 1;
    if (others > 0) fact("after it", fmt::format("{} more tap results failed", others));
  }
  if (!result.rerun.empty()) fact("re-run", result.rerun);
  return out;
}

std::vector<std::string> notes(const PathResult& result) {
  std::vector<std::string> out;
  const auto add = [&](std::string note) {
    if (!note.empty() && std::find(out.begin(), out.end(), note) == out.end()) out.push_back(std::move(note));
  };
  add(result.note);
  for (const TapResult& tap : result.taps)
    if (!tap.note.empty()) add(tap.tap + ": " + tap.note);
  return out;
}

std::string share_text(const TapResult& tap) {
  const double ratio = tap.stats.worst_ratio;
  if (tap.stats.not_finite > 0) return "not finite";
  return ratio < 10 ? fmt::format("{:.2g} %", 100 * ratio) : fmt::format("{:.3g}x", ratio);
}

}  // namespace assay
