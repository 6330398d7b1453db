#include "harness/locate/hypotheses.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace assay {
namespace {

/// Less of a deviation than this must be left of the first wrong piece, or the fault has nothing to do with it.
constexpr double kLeftOver = 0.5;
/// Two faults are as good as each other where what they leave differs by less than an engine's own rounding does from
/// run to run: a factor of this, or this share of what is allowed.
constexpr double kTiedFactor = 2, kTiedShare = 0.05;
/// More than these born in one interval are not tried two at once: that many pairs cost minutes.
constexpr std::size_t kMostOfTwo = 40;

double rms(std::span<const float> values) {
  double squares = 0;
  for (const float v : values) squares += double{v} * v;
  return values.empty() ? 0 : std::sqrt(squares / double(values.size()));
}

double rms_difference(std::span<const float> a, std::span<const float> b) {
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = double{a[i]} - b[i];
    squares += difference * difference;
  }
  return a.empty() ? 0 : std::sqrt(squares / double(a.size()));
}

/// The largest difference over what is allowed: what the golden allows, grown with the values, because a fault that
/// makes them larger makes their rounding larger too. Values that are not finite agree with others that are not.
double largest_share(const Piece& engine, const Piece& suspect) {
  if (engine.actual.size() != suspect.actual.size()) return INFINITY;
  const double size = rms(engine.expected), bent = rms(suspect.actual);
  const double grown = size > 0 && std::isfinite(bent) ? std::max(1.0, bent / size) : 1;
  double largest = 0;
  for (std::size_t i = 0; i < engine.actual.size(); ++i) {
    const double a = engine.actual[i], b = suspect.actual[i];
    if (!std::isfinite(a) && !std::isfinite(b)) continue;
    const double allowed = engine.tolerance.atol * grown + engine.tolerance.rtol * std::abs(b);
    const double difference = std::abs(a - b);
    if (difference == 0) continue;
    if (!std::isfinite(difference) || allowed == 0) return INFINITY;
    largest = std::max(largest, difference / allowed);
  }
  return largest;
}

/// RMS of what is left over RMS of the values; 1 where it cannot be said.
double relative(std::span<const float> from, std::span<const float> values) {
  if (from.size() != values.size()) return 1;
  if (from.empty()) return 0;
  const double size = rms(from), difference = rms_difference(from, values);
  if (!std::isfinite(difference) || !std::isfinite(size)) {
    bool same = true;  // both not finite at the same places
    for (std::size_t i = 0; i < from.size(); ++i) same = same && std::isfinite(from[i]) == std::isfinite(values[i]);
    return same ? 0 : INFINITY;
  }
  return size > 0 ? difference / size : difference > 0 ? INFINITY : 0;
}

}  // namespace

std::optional<Score> score(std::span<const Piece> engine, std::span<const Piece> suspect) {
  Score score;
  const auto first = std::ranges::find_if(engine, &Piece::wrong);
  if (first == engine.end()) return std::nullopt;
  for (const Piece& piece : engine) score.wrong += piece.wrong;
  bool agreeing = true;
  for (std::size_t i = 0; i < engine.size() && agreeing; ++i) {
    const bool there = i < suspect.size() && suspect[i].name == engine[i].name && suspect[i].step == engine[i].step;
    const double share = there ? largest_share(engine[i], suspect[i]) : INFINITY;
    agreeing = share <= 1;
    if (!agreeing) break;
    ++score.reach;
    score.explained += engine[i].wrong;
    score.left = std::max(score.left, share);
  }
  const auto at = std::size_t(first - engine.begin());
  if (std::size_t(score.reach) < at || at >= suspect.size() || suspect[at].name != first->name) return std::nullopt;
  score.before = relative(first->expected, first->actual);
  score.after = relative(suspect[at].actual, first->actual);
  if (score.explained > 0) return score;
  // Another fault may have left its mark on the same piece.
  if (!(score.after < kLeftOver * score.before)) return std::nullopt;
  return score;
}

std::optional<Birth> birth(std::span<const Piece> engine) {
  const auto first = std::ranges::find_if(engine, &Piece::wrong);
  if (first == engine.end()) return std::nullopt;
  Birth birth{.first = first->order};
  if (first != engine.begin() && first->step == 0) birth.after = (first - 1)->order;
  return birth;
}

std::vector<const Fault*> suspects(const Plan& plan, Path path, const Birth& birth, bool earlier) {
  std::vector<const Fault*> found;
  const int layers = int(plan.layers.size());
  for (const Fault& fault : faults()) {
    if (fault.control || !fault.inject) continue;
    const bool drafted = fault.of == Fault::drafter || fault.of == Fault::target;
    if (drafted != plan.assistant.has_value()) continue;
    if (!fault.paths.empty() && std::ranges::find(fault.paths, path.kind) == fault.paths.end()) continue;
    const std::optional<TapId> at = fault.shows_at(plan);
    if (!at) continue;
    const int order = at->order(layers);
    const bool within = fault.generating || ((!birth.after || order > *birth.after) && order <= birth.first);
    if (earlier ? !within && order <= birth.first : within) found.push_back(&fault);
  }
  return found;
}

std::vector<Suspect> two_at_once(const std::vector<const Fault*>& suspects) {
  std::vector<Suspect> out;
  if (suspects.size() > kMostOfTwo) return out;
  for (std::size_t a = 0; a < suspects.size(); ++a)
    for (std::size_t b = a + 1; b < suspects.size(); ++b) out.push_back({suspects[a], suspects[b]});
  return out;
}

Result<std::optional<std::vector<Piece>>> suspect_evidence(const Suspect& suspect, const Checkpoint& checkpoint,
                                                           const Checkpoint* target, const CaseView& view,
                                                           const GoldenCase& golden, const CaseInputs& inputs,
                                                           const Watch& watch) {
  ASSAY_TRY(oracle, bent_oracle(suspect, checkpoint, target));
  if (!oracle.bent) return std::optional<std::vector<Piece>>();
  ASSAY_TRY(observed, observe(*oracle.session, oracle.target.get(), golden, inputs, watch));
  return std::optional(evidence(view, golden, observed, watch));
}

Hypothesis hypothesis(const Suspect& suspect, const Score& score) {
  const Fault& fault = *suspect.front();
  Hypothesis out{.fault = std::string(fault.name),
                 .row = std::string(fault.row),
                 .what = std::string(fault.what),
                 .shipped_in = std::string(fault.shipped_in),
                 .links = links(fault),
                 .before = score.before,
                 .after = score.after,
                 .explained = score.explained,
                 .wrong = score.wrong,
                 .left = score.left};
  for (const Fault* other : std::span(suspect).subspan(1)) {
    out.with.emplace_back(other->name);
    out.what += " " + std::string(other->what);
    std::ranges::copy(links(*other), std::back_inserter(out.links));
  }
  return out;
}

bool explains_all(const Hypothesis& hypothesis) { return hypothesis.explained == hypothesis.wrong; }

void rank(std::vector<Hypothesis>& hypotheses) {
  if (hypotheses.empty()) return;
  const auto better = [](const Hypothesis& a, const Hypothesis& b) {
    if (a.explained != b.explained) return a.explained > b.explained;
    if (a.explained > 0) return a.left < b.left;
    return a.after < b.after;
  };
  std::ranges::stable_sort(hypotheses, better);
  const Hypothesis best = hypotheses.front();
  for (Hypothesis& one : hypotheses)
    one.tied = one.explained == best.explained && (best.explained > 0 ? one.left <= kTiedFactor * best.left + kTiedShare
                                                                      : one.after <= kTiedFactor * best.after);
  // Among equals, what people shipped.
  const auto ties = std::ranges::partition_point(hypotheses, &Hypothesis::tied);
  std::stable_sort(hypotheses.begin(), ties, [](const Hypothesis& a, const Hypothesis& b) {
    return !a.shipped_in.empty() && b.shipped_in.empty();
  });
}

}  // namespace assay
