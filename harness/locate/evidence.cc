#include "harness/locate/evidence.h"

#include <algorithm>
#include <limits>

#include "harness/verify/select.h"

namespace assay {
namespace {

constexpr int kBehindAll = std::numeric_limits<int>::max();

/// Step `step` of taps [B, steps, ...].
std::vector<float> one_step(std::span<const float> values, int batch, int steps, int step) {
  const std::size_t row = values.size() / std::size_t(batch), part = row / std::size_t(steps);
  std::vector<float> out;
  for (std::size_t b = 0; b < std::size_t(batch); ++b) {
    const auto from = values.subspan(b * row + std::size_t(step) * part, part);
    out.insert(out.end(), from.begin(), from.end());
  }
  return out;
}

Piece piece_of(const CaseView& view, const GoldenTap& golden, std::span<const float> actual) {
  const TapResult judged = judge_tap(view, golden, actual);
  Piece piece{.name = golden.id.name(),
              .order = golden.id.order(int(view.plan.layers.size())),
              .tolerance = judged.tolerance,
              .wrong = failed(judged.verdict)};
  if (auto values = compared(view, golden, actual)) {
    piece.expected = std::move(values->expected);
    piece.actual = std::move(values->actual);
  }
  return piece;
}

std::vector<float> as_floats(const std::vector<std::int64_t>& ids) { return {ids.begin(), ids.end()}; }

/// The logits of each row up to the first id that is not the golden's: what follows had another input.
std::vector<float> until_they_part(const CaseView& view, const GoldenCase& golden, const Driven& driven) {
  const std::size_t vocab = std::size_t(view.plan.vocab), steps = std::size_t(golden.generated);
  std::vector<float> out;
  for (std::size_t b = 0; b < std::size_t(view.batch); ++b)
    for (std::size_t row = b * steps; row < (b + 1) * steps; ++row) {
      const auto from = driven.generated_logits.begin() + std::ptrdiff_t(row * vocab);
      out.insert(out.end(), from, from + std::ptrdiff_t(vocab));
      if (driven.generated[row] != golden.generated_ids[row]) break;
    }
  return out;
}

Piece generated(const CaseView& view, const GoldenCase& golden, const Observed& observed, Path path) {
  const Driven& driven = observed.driven;
  if (path.kind == Path::speculative) {
    const TapResult judged = judge_ids(view, golden, driven.generated);
    return {.name = std::string(kGeneratedIds),
            .order = kBehindAll,
            .expected = as_floats(golden.generated_ids),
            .actual = as_floats(driven.generated),
            .tolerance = exact(),
            .wrong = failed(judged.verdict)};
  }
  Piece piece{.name = std::string(kGeneratedLogits), .order = kBehindAll, .tolerance = fp32_engine(), .wrong = true};
  if (!observed.finite) return piece;
  const TapResult judged = judge_generated_logits(view, golden, driven.generated, driven.generated_logits);
  piece.wrong = failed(judged.verdict);
  if (judged.verdict == Verdict::fail_shape) return piece;
  piece.tolerance = judged.tolerance;
  piece.actual = until_they_part(view, golden, driven);
  Driven same = driven;  // the golden's logits at the same steps
  same.generated_logits = golden.generated_logits;
  piece.expected = until_they_part(view, golden, same);
  return piece;
}

}  // namespace

std::vector<Piece> evidence(const CaseView& view, const GoldenCase& golden, const Observed& observed,
                            const Watch& watch) {
  std::vector<Piece> pieces;
  const int layers = int(view.plan.layers.size());
  const int steps = watch.path.kind == Path::draft ? golden.draft_steps : 1;
  for (int step = 0; step < steps; ++step)
    for (const GoldenTap& tap : golden.taps) {
      if (std::ranges::find(watch.taps, tap.id) == watch.taps.end()) continue;
      if (observed.misshapen && tap.id.order(layers) > observed.misshapen->order(layers)) continue;
      const std::vector<float>* values = observed.driven.find(tap.id);
      const std::span<const float> all = values == nullptr ? std::span<const float>{} : std::span(*values);
      if (steps == 1) {
        pieces.push_back(piece_of(view, tap, all));
        continue;
      }
      CaseView of_step = view;
      GoldenTap part = tap;
      of_step.tokens = 1;
      part.shape[1] = 1;
      part.values = one_step(tap.values, view.batch, steps, step);
      pieces.push_back(piece_of(of_step, part, one_step(all, view.batch, steps, step)));
      pieces.back().step = step;
    }
  const bool generates = watch.path.kind == Path::speculative || (watch.generate && watch.path.kind != Path::draft);
  if (generates && golden.generated > 0 && !observed.misshapen)
    pieces.push_back(generated(view, golden, observed, watch.path));
  return pieces;
}

}  // namespace assay
