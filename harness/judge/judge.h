// Whether what an engine computed is what transformers computed. Pure: values in, verdicts out. Not here: running
// engines (harness/drive), files, processes; which taps are asked for (harness/verify).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tolerance.h"
#include "engine/media_rows.h"
#include "golden/store.h"
#include "model/plan.h"
#include "reports/run.h"

namespace assay {

/// Engines of lower precision, a whole tap: root mean square within 1.25 of what transformers itself moves when it
/// computes so, beside what fp32 may (DESIGN.md section 6). Two root mean squares of n independent rounding errors each
/// stray from the true one by 1 / sqrt(2 n) of it: 1.25 is four deviations of their ratio for 256 of them, and fewer
/// stray further. A row's values share the errors of what they are made of, so that it counts as 16 at most (measured:
/// transformers' eager and fused attention, both in bf16, differ by up to 1.5 in taps of three rows, and in none of
/// more than 16 by 1.25).
/// @param values  those that are not zero by choice
double lossy_rms_limit(double noise_rms, std::size_t values, std::size_t rows);

/// A discrete choice may be held against an engine only if its margin is that many times the noise of what it rests on.
inline constexpr double kMarginOverNoise = 10;

/// What a tap of the golden allows an engine of this arithmetic (arithmetic.h); nullopt if nothing is known about it.
struct Allowance {
  Tolerance each;
  double rms = 0;  ///< 0 = no limit
};
std::optional<Allowance> allowance(const GoldenTap& golden, std::string_view arithmetic);

/// What the taps of a case are judged by, beside their values.
struct CaseView {
  const Plan& plan;
  int batch = 0, tokens = 0;
  std::span<const std::int64_t> mask;       ///< [B, T]; empty = all 1. Rows of padding are never compared.
  std::span<const std::int64_t> positions;  ///< [B, T]; empty = 0 .. T - 1
  MediaRows media;                          ///< of the case's inputs
  std::span<const GoldenTap> taps;          ///< the golden's, for the noise that a choice rests on
  std::string_view arithmetic;
};

/// Judges one tap. Verdicts: pass, fail_numeric, fail_shape, fail_nan; unsupported for an arithmetic without a
/// tolerance.
/// @param actual  all rows of the tap's row space: [B * T, columns], or of the media
TapResult judge_tap(const CaseView& view, const GoldenTap& golden, std::span<const float> actual);

/// What judge_tap compares: the values that the golden keeps, padding left out, and the engine's at the same rows.
struct Compared {
  std::vector<float> expected, actual;
};
/// Nothing where judge_tap would say fail_shape.
std::optional<Compared> compared(const CaseView& view, const GoldenTap& golden, std::span<const float> actual);

/// Judges greedy ids: equal, or no verdict from the first difference of a row on where the golden's margin is too
/// small. Unsupported for an arithmetic without a tolerance, and for other ids in lower precision where the golden
/// holds no logits.
/// @param actual  [B, golden.generated]
TapResult judge_ids(const CaseView& view, const GoldenCase& golden, std::span<const std::int64_t> actual);

/// Judges the logits that the ids were chosen from, as text.logits is judged: each row up to the step where its ids
/// part from the golden's, because what follows has another input.
/// @param ids     [B, golden.generated]
/// @param actual  [B, golden.generated, V]
TapResult judge_generated_logits(const CaseView& view, const GoldenCase& golden, std::span<const std::int64_t> ids,
                                 std::span<const float> actual);

/// Why this tap of the golden proves nothing: zeros or the op's own input would pass, or no row is compared. Empty if
/// it proves something. An op whose input the golden does not hold at the same rows is tried with zeros alone, and so
/// is RoPE where every compared row is at position 0, which it leaves as it is.
std::string vacuous(const CaseView& view, const GoldenTap& golden);

/// As judge_tap's result for a tap that was not offered or not computed.
TapResult not_judged(const CaseView& view, TapId id, Verdict verdict, std::string note);

}  // namespace assay
