#include "reports/run.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <tuple>
#include <utility>

namespace assay {
namespace {

constexpr std::pair<Verdict, std::string_view> kNames[] = {
    {Verdict::pass, "pass"},         {Verdict::fail_numeric, "fail-numeric"}, {Verdict::fail_shape, "fail-shape"},
    {Verdict::fail_nan, "fail-nan"}, {Verdict::unsupported, "unsupported"},   {Verdict::crash, "crash"},
    {Verdict::timeout, "timeout"},   {Verdict::no_golden, "no-golden"},
};

constexpr std::pair<Standing, std::string_view> kStandings[] = {
    {Standing::judged, "judged"},   {Standing::known, "known"},         {Standing::unexpected_pass, "unexpected-pass"},
    {Standing::expired, "expired"}, {Standing::as_before, "as-before"}, {Standing::worse, "worse"},
};

/// Bit by bit, so that a NaN equals itself.
auto bits(const ErrorStats& s) {
  const auto of = [](double v) { return v != v ? ~std::uint64_t{0} : std::bit_cast<std::uint64_t>(v); };
  return std::tuple(of(s.max_abs), of(s.max_rel), of(s.rms), of(s.nmse), of(s.cosine), of(s.worst_ratio), s.max_ulp,
                    s.count, s.mismatches, s.not_finite, s.worst, of(s.expected), of(s.actual));
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  for (const auto& [known, name] : kNames)
    if (known == verdict) return name;
  return "";
}

std::optional<Verdict> parse_verdict(std::string_view name) {
  for (const auto& [verdict, known] : kNames)
    if (known == name) return verdict;
  return std::nullopt;
}

std::string_view name_of(Standing standing) {
  for (const auto& [known, name] : kStandings)
    if (known == standing) return name;
  return "";
}

std::optional<Standing> parse_standing(std::string_view name) {
  for (const auto& [standing, known] : kStandings)
    if (known == name) return standing;
  return std::nullopt;
}

bool failed(Verdict verdict) {
  return verdict != Verdict::pass && verdict != Verdict::unsupported && verdict != Verdict::no_golden;
}

bool TapResult::operator==(const TapResult& other) const {
  return tap == other.tap && mode == other.mode && verdict == other.verdict && shape == other.shape &&
         worst == other.worst && bits(stats) == bits(other.stats) && tolerance.atol == other.tolerance.atol &&
         tolerance.rtol == other.tolerance.rtol && rms_limit == other.rms_limit && agreement == other.agreement &&
         note == other.note;
}

std::string unit_name(std::string_view engine, std::string_view golden, std::string_view case_name) {
  std::string name(engine);
  return name.append(" ").append(golden).append("/").append(case_name);
}

bool fails(const PathResult& result) {
  if (result.standing == Standing::worse) return true;
  return failed(result.verdict) && result.standing != Standing::known && result.standing != Standing::as_before;
}

void Counts::add(const PathResult& result) {
  if (fails(result))
    ++failed;
  else if (result.verdict == Verdict::unsupported)
    ++unsupported;
  else if (result.verdict == Verdict::no_golden)
    ++no_golden;
  else if (result.standing == Standing::known)
    ++known;
  else if (result.standing == Standing::as_before)
    ++as_before;
  else
    ++passed;
}

Counts count(const Run& run, std::string_view engine) {
  Counts counts;
  for (const PathResult& result : run.results)
    if (engine.empty() || result.engine == engine) counts.add(result);
  return counts;
}

int exit_code(const Run& run) {
  const Counts counts = count(run);
  if (counts.failed > 0 || !run.unmet.empty()) return 1;
  return counts.passed + counts.known + counts.as_before > 0 ? 0 : 3;
}

const TapResult* worst_tap(const PathResult& result) {
  const TapResult* worst = nullptr;
  for (const TapResult& tap : result.taps)
    if (tap.stats.count > 0 && (worst == nullptr || tap.stats.worst_ratio > worst->stats.worst_ratio)) worst = &tap;
  return worst;
}

const TapResult* first_failure(const PathResult& result) {
  const auto found =
      std::find_if(result.taps.begin(), result.taps.end(), [](const TapResult& t) { return failed(t.verdict); });
  return found == result.taps.end() ? nullptr : &*found;
}

std::string index_text(const std::vector<std::int64_t>& index) {
  std::string text;
  for (const std::int64_t at : index) text += (text.empty() ? "" : ", ") + std::to_string(at);
  return "[" + text + "]";
}

}  // namespace assay
