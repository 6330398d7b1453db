#include "reports/summary.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace assay {
namespace {

std::string mode_text(const TapResult& tap) {
  if (tap.mode == "taps") return "all taps wanted";
  if (tap.mode == "logits") return "text.logits alone wanted";
  if (tap.mode == "ids") return "no taps wanted, generating";
  return tap.mode;
}

std::string ratio_text(double ratio) {
  return ratio < 10 ? fmt::format("{:.2g} %", 100 * ratio) : fmt::format("{:.3g}x", ratio);
}

void add(std::optional<Agreement>& to, const Agreement& more) {
  if (!to) to.emplace();
  const double rows = double(to->rows + more.rows);
  to->kl_mean = (to->kl_mean * double(to->rows) + more.kl_mean * double(more.rows)) / rows;
  to->kl_most = std::isnan(more.kl_most) ? more.kl_most : std::max(to->kl_most, more.kl_most);
  to->rows += more.rows;
  to->same_top += more.same_top;
}

}  // namespace

std::optional<Agreement> agreement_of(const PathResult& result) {
  const bool alone =
      std::ranges::any_of(result.taps, [](const TapResult& t) { return t.agreement && t.mode == "logits"; });
  std::optional<Agreement> out;
  for (const TapResult& tap : result.taps)
    if (tap.agreement && tap.agreement->rows > 0 && (tap.mode != "taps" || !alone)) add(out, *tap.agreement);
  return out;
}

std::optional<Agreement> agreement_of(const Run& run, std::string_view engine, std::string_view golden) {
  std::optional<Agreement> out;
  for (const PathResult& result : run.results)
    if (result.engine == engine && (golden.empty() || result.golden == golden))
      if (const auto more = agreement_of(result)) add(out, *more);
  return out;
}

std::string agreement_text(const Agreement& agreement) {
  return fmt::format("KL {:.2g}, at most {:.2g}; top-1 {} of {}", agreement.kl_mean, agreement.kl_most,
                     agreement.same_top, agreement.rows);
}

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
    line->counts.add(result);
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
  if (result.standing == Standing::expired) fact("expired", result.because);
  if (result.standing == Standing::worse) fact("baseline", result.because);
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
    if (tap->agreement) fact("as tokens", agreement_text(*tap->agreement));
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
  add(result.because);
  add(result.note);
  for (const TapResult& tap : result.taps)
    if (!tap.note.empty()) add(tap.tap + ": " + tap.note);
  return out;
}

std::vector<Growth> growths(const Run& run) {
  constexpr double kTimes = 1.1, kMore = 0.01;
  std::vector<Growth> out;
  for (const PathResult& result : run.results) {
    const TapResult* worst = worst_tap(result);
    if (!result.budget_before || worst == nullptr) continue;
    const double before = *result.budget_before, now = worst->stats.worst_ratio;
    if (now > before * kTimes && now > before + kMore) out.push_back({&result, worst, before, now});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Growth& a, const Growth& b) { return a.now - a.before > b.now - b.before; });
  return out;
}

std::string text_of(const Growth& growth) {
  const PathResult& result = *growth.result;
  return fmt::format("{} {}/{}/{}: {} -> {} of tolerance at {}", result.engine, result.golden, result.case_name,
                     result.path, ratio_text(growth.before), ratio_text(growth.now), growth.tap->tap);
}

std::vector<std::string> unexpected_passes(const Run& run) {
  std::vector<std::string> out;
  for (const PathResult& result : run.results)
    if (result.standing == Standing::unexpected_pass)
      out.push_back(
          fmt::format("{} {}/{}/{}: {}", result.engine, result.golden, result.case_name, result.path, result.because));
  return out;
}

std::string excused_text(const Counts& counts) {
  const auto of = [](int n, std::string_view behind) {
    return n == 0
               ? ""
               : fmt::format("{} {}{}{}", n, behind.empty() ? "known " : "", n == 1 ? "failure" : "failures", behind);
  };
  const std::string known = of(counts.known, ""), before = of(counts.as_before, " as in the baseline");
  return known + (known.empty() || before.empty() ? "" : ", ") + before;
}

std::string share_text(const TapResult& tap) {
  return tap.stats.not_finite > 0 ? "not finite" : ratio_text(tap.stats.worst_ratio);
}

}  // namespace assay
