#include "harness/verify/other_experts.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/tolerance.h"
#include "harness/judge/arithmetic.h"
#include "reference/parts.h"
#include "reference/session.h"

namespace assay {
namespace {

using reference::Grid;

/// What a layer's router chose, call by call: [rows, experts], zero where it did not.
using Choices = std::map<int, std::deque<Grid>>;

std::vector<TapId> routers(const Plan& plan) {
  std::vector<TapId> taps;
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    if (plan.layers[i].experts) taps.push_back({Tap::router_topk, int(i)});
  return taps;
}

/// How far a probability may lie from the golden's; nullopt where nobody knows.
std::optional<Tolerance> probability(const GoldenCase& golden, int layer, const Arithmetic& arithmetic) {
  if (const auto most = router_noise(golden, layer, arithmetic)) return lossy_engine(*most);
  for (const GoldenTap& tap : golden.taps)
    if (tap.id == TapId{Tap::router_probs, layer})
      if (const auto lost = noise(tap, arithmetic)) return lossy_engine(lost->most);
  return std::nullopt;
}

std::vector<std::size_t> chosen_of(std::span<const float> row) {
  std::vector<std::size_t> out;
  for (std::size_t e = 0; e < row.size(); ++e)
    if (row[e] != 0) out.push_back(e);
  return out;
}

/// Members of `a` that are not in `b`; both ascending.
std::vector<std::size_t> without(const std::vector<std::size_t>& a, const std::vector<std::size_t>& b) {
  std::vector<std::size_t> out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
  return out;
}

/// What is dropped over what is taken for it, as a share of how far both may move together.
double share(double dropped, double taken, Tolerance each) {
  return (dropped - taken) / (2 * each.atol + each.rtol * (dropped + taken));
}

/// Puts an engine's choices in place of the oracle's, where they may be.
class Forcing {
 public:
  Forcing(const GoldenCase& golden, const Arithmetic& arithmetic, Choices choices)
      : golden_(golden), arithmetic_(arithmetic), choices_(std::move(choices)) {}

  void bend(reference::Parts& parts) {
    for (reference::Layer& layer : parts.layers) {
      if (!layer.plan.experts) continue;
      const auto choose = layer.ops.choose;
      layer.ops.choose = [this, choose](const reference::Layer& self, Rows<const float> probs) {
        Grid own = choose(self, probs);
        std::deque<Grid>& calls = choices_[self.index];
        if (calls.empty()) return own;
        const Grid theirs = std::move(calls.front());
        calls.pop_front();
        const auto each = probability(golden_, self.index, arithmetic_);
        if (theirs.rows == own.rows && theirs.cols == own.cols && each)
          for (int r = 0; r < own.rows; ++r) force(self, probs.row(r), *each, theirs.row(r), own.row(r));
        return own;
      };
    }
  }

  int rows() const { return rows_; }
  double widest() const { return widest_; }

 private:
  void force(const reference::Layer& layer, std::span<const float> probs, Tolerance each, std::span<const float> theirs,
             std::span<float> own) {
    const std::vector<std::size_t> wanted = chosen_of(theirs), had = chosen_of(own);
    if (wanted == had || wanted.size() != had.size()) return;
    const auto probability_of = [&](std::size_t e) { return double{probs[e]}; };
    double dropped = 0, taken = 1, sum = 0;
    for (const std::size_t e : without(had, wanted)) dropped = std::max(dropped, probability_of(e));
    for (const std::size_t e : without(wanted, had)) taken = std::min(taken, probability_of(e));
    const double of_allowed = share(dropped, taken, each);
    if (!(of_allowed <= 1)) return;
    for (const std::size_t e : wanted) sum += probability_of(e);
    std::fill(own.begin(), own.end(), 0.0F);
    for (const std::size_t e : wanted) own[e] = float(probs[e] / sum) * layer.weights.per_expert_scale[e];
    ++rows_;
    widest_ = std::max(widest_, of_allowed);
  }

  const GoldenCase& golden_;
  const Arithmetic& arithmetic_;
  Choices choices_;
  int rows_ = 0;
  double widest_ = 0;
};

/// The values at the rows that a tap keeps, with zeros where the golden has them for padding.
std::vector<float> at_kept_rows(const GoldenTap& tap, std::span<const float> all, std::span<const std::int64_t> mask) {
  std::vector<float> out(tap.values.size(), 0);
  const std::size_t rows = tap.rows.empty() ? std::size_t(tap.shape[0] * tap.shape[1]) : tap.rows.size();
  const std::size_t cols = tap.values.size() / rows;
  for (std::size_t i = 0; i < rows; ++i) {
    const std::size_t row = tap.rows.empty() ? i : std::size_t(tap.rows[i]);
    if (!mask.empty() && mask[row] == 0) continue;
    std::copy_n(all.begin() + std::ptrdiff_t(row * cols), cols, out.begin() + std::ptrdiff_t(i * cols));
  }
  return out;
}

/// The smallest distance between the two largest logits of any step.
double smallest_gap(std::span<const float> logits, std::size_t vocab) {
  double gap = std::numeric_limits<double>::infinity();
  for (std::size_t at = 0; at + vocab <= logits.size(); at += vocab) {
    std::vector<float> row(logits.begin() + std::ptrdiff_t(at), logits.begin() + std::ptrdiff_t(at + vocab));
    std::partial_sort(row.begin(), row.begin() + 2, row.end(), std::greater<>());
    gap = std::min(gap, double{row[0]} - row[1]);
  }
  return gap;
}

/// The golden with a run's values in place of its own.
GoldenCase with_values_of(const Driven& run, const GoldenCase& golden, const CaseInputs& inputs, std::size_t vocab) {
  GoldenCase out = golden;
  for (GoldenTap& tap : out.taps) {
    const std::vector<float>* const values = run.find(tap.id);
    if (part_of(tap.id.tap) != TapPart::text || values == nullptr) continue;  // towers choose nothing
    tap.values = at_kept_rows(tap, *values, inputs.mask);
    tap.margin = std::numeric_limits<double>::infinity();
  }
  if (golden.generated > 0) {
    out.generated_ids = run.generated;
    out.generated_logits = run.generated_logits;
    out.generated_margin = smallest_gap(run.generated_logits, vocab);
  }
  return out;
}

Result<Driven> run_oracle(reference::Parts parts, const GoldenCase& golden, const CaseInputs& inputs, Path path) {
  const std::unique_ptr<Session> oracle = reference::make_session(std::move(parts));
  DriveOptions options{.path = path, .generate = golden.generated, .taps = {}};
  for (const GoldenTap& tap : golden.taps) options.taps.push_back(tap.id);
  return drive(*oracle, inputs, options);
}

}  // namespace

bool may_choose_otherwise(const Plan& plan, std::string_view arithmetic) {
  const auto parsed = Arithmetic::parse(arithmetic);
  return parsed && !parsed->is_fp32() && !plan.assistant && !routers(plan).empty();
}

std::string OtherExperts::note() const {
  return fmt::format(
      "other experts in {} choices, as rounding may take (at most {:.2g} % of the distance allowed): judged by the "
      "oracle "
      "with those",
      rows, 100 * widest);
}

Result<std::optional<OtherExperts>> with_experts_of(Session& engine, const Checkpoint& checkpoint,
                                                    const GoldenCase& golden, const CaseInputs& inputs, Path path,
                                                    std::string_view arithmetic) {
  const auto parsed = Arithmetic::parse(arithmetic);
  if (!parsed) return std::optional<OtherExperts>();
  Choices choices;
  const auto watch = [&](TapId id, Rows<const float> rows) { choices[id.layer].emplace_back(rows); };
  ASSAY_CHECK(drive(
      engine, inputs,
      {.path = path, .generate = golden.generated, .taps = {}, .watched = routers(checkpoint.plan), .watch = watch}));
  ASSAY_TRY(parts, reference::assemble(checkpoint));
  Forcing forcing(golden, *parsed, std::move(choices));
  forcing.bend(parts);
  ASSAY_TRY(run, run_oracle(std::move(parts), golden, inputs, path));
  if (forcing.rows() == 0) return std::optional<OtherExperts>();
  return std::optional(OtherExperts{.golden = with_values_of(run, golden, inputs, std::size_t(checkpoint.plan.vocab)),
                                    .rows = forcing.rows(),
                                    .widest = forcing.widest()});
}

Result<std::optional<Unsure>> unsure_experts(const Checkpoint& checkpoint, const GoldenCase& golden,
                                             const CaseInputs& inputs, Path path, std::string_view arithmetic) {
  const auto parsed = Arithmetic::parse(arithmetic);
  if (!parsed) return std::optional<Unsure>();
  ASSAY_TRY(parts, reference::assemble(checkpoint));
  std::optional<Unsure> found;
  for (reference::Layer& layer : parts.layers) {
    if (!layer.plan.experts) continue;
    const auto choose = layer.ops.choose;
    layer.ops.choose = [&, choose](const reference::Layer& self, Rows<const float> probs) {
      const auto each = probability(golden, self.index, *parsed);
      const auto used = std::size_t(self.plan.experts->used);
      for (int r = 0; each && used < std::size_t(probs.cols) && r < probs.rows; ++r) {
        std::vector<float> row(probs.row(r).begin(), probs.row(r).end());
        std::ranges::sort(row, std::greater<>());
        if (share(row[used - 1], row[used], *each) > 1) continue;
        if (!found) found = Unsure{.layer = self.index};
        found->layer = std::min(found->layer, self.index);
        ++found->rows;
      }
      return choose(self, probs);
    };
  }
  ASSAY_CHECK(run_oracle(std::move(parts), golden, inputs, path));
  return found;
}

}  // namespace assay
