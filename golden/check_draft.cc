// The cases of a drafter's golden: whole, quiet, exposing. Not here: those of a model by itself (check_cases.cc).
#include "golden/check_draft.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "base/error_stats.h"
#include "base/tolerance.h"

namespace assay {
namespace {

constexpr double kNoiseShare = 0.5;  // as check_cases.cc has them
constexpr double kRoom = 10;
constexpr double kGap = 1e-3;  // of greedy ids, at least
constexpr TapId kLogits{Tap::assistant_logits, -1};

std::string text(double value) {
  char buffer[32];
  std::snprintf(static_cast<char*>(buffer), sizeof buffer, "%.3g", value);
  return static_cast<char*>(buffer);
}

const GoldenTap* tap_of(const GoldenCase& golden, TapId id) {
  const auto found =
      std::find_if(golden.taps.begin(), golden.taps.end(), [&](const GoldenTap& tap) { return tap.id == id; });
  return found == golden.taps.end() ? nullptr : &*found;
}

bool passes(std::span<const float> expected, std::span<const float> actual) {
  return expected.size() == actual.size() && compare(expected, actual, fp32_engine()).passed();
}

bool finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

class CaseCheck {
 public:
  CaseCheck(const Plan& plan, const GoldenCase& golden) : plan_(plan), golden_(golden), at_("/cases/" + golden.name) {
    const Tensor* ids = find(golden.inputs, "input_ids");
    batch_ = ids == nullptr || ids->shape.size() != 2 ? 0 : ids->shape[0];
  }

  std::vector<Finding> run() {
    if (golden_.what.empty()) found("@what", "is empty");
    const bool draft = golden_.paths == std::vector<std::string>{"draft"};
    if (!draft && golden_.paths != std::vector<std::string>{"speculative"})
      found("@paths", "is neither draft nor speculative");
    if (golden_.draft_steps < 1) found("@draft_steps", "is not at least 1");
    for (const GoldenTap& tap : golden_.taps)
      if (!exists(plan_, tap.id)) found("/taps/" + tap.id.name(), "is no tap of this model");
    for (const TapId id : all_taps(plan_))
      if (const GoldenTap* tap = tap_of(golden_, id); tap != nullptr)
        check(*tap);
      else if (draft)
        found("/taps/" + id.name(), "is missing");
    outputs(draft);
    return std::move(findings_);
  }

 private:
  void found(const std::string& part, std::string what) { findings_.push_back({at_ + part, std::move(what)}); }

  void check(const GoldenTap& tap) {
    const std::string part = "/taps/" + tap.id.name();
    std::vector<std::int64_t> expected = row_shape(plan_, tap.id);
    expected.insert(expected.begin(), {batch_, golden_.draft_steps});
    if (tap.shape != expected)
      return found(part, "has shape " + shape_text(tap.shape) + ", expected " + shape_text(expected));
    if (!finite(tap.values)) return found(part, "is not finite");
    const double most = fp32_engine().atol * kNoiseShare;
    if (!(tap.noise_excess <= most))
      found(part + "@noise_excess", "is " + text(tap.noise_excess) + ", more than " + text(most));
    if (!std::isfinite(tap.noise_bf16) || !std::isfinite(tap.noise_bf16_rms))
      found(part + "@noise_bf16", "was not measured");
    if (passes(tap.values, std::vector<float>(tap.values.size()))) found(part, "would be met by zeros");
    const std::size_t rows = std::size_t(batch_ * golden_.draft_steps), width = tap.values.size() / rows;
    const auto row = [&](std::size_t r) { return std::span(tap.values).subspan(r * width, width); };
    bool same = rows > 1;
    for (std::size_t r = 1; r < rows; ++r) same = same && passes(row(0), row(r));
    if (same) found(part, "has the same values in every row");
    if (tap.id == kLogits && plan_.assistant->centroids && !(tap.margin >= kRoom * tap.margin_noise))
      found(part + "@cut_margin", "is " + text(tap.margin) +
                                      ", less than 10 times the noise of the clusters' scores, " +
                                      text(tap.margin_noise));
  }

  void outputs(bool draft) {
    if (golden_.generated < (draft ? 1 : 2)) return found("/outputs", "holds too few ids");
    const GoldenTap* tap = tap_of(golden_, kLogits);
    const double noise = tap == nullptr ? 0 : tap->noise_fp32;
    if (!(golden_.generated_margin >= std::max(kGap, kRoom * noise)))
      found("/outputs/generated_ids@margin", "is " + text(golden_.generated_margin) + ", too little");
    if (draft && golden_.generated != golden_.draft_steps)
      found("/outputs/generated_ids", "holds other than draft_steps ids a row");
    if (draft && tap != nullptr && tap->values != golden_.generated_logits)
      found("/outputs/generated_logits", "is not " + kLogits.name());
    if (!finite(golden_.logits)) found("/outputs/logits", "is not finite");
    const std::size_t vocab = std::size_t(plan_.vocab);
    for (std::size_t i = 0; i < golden_.generated_ids.size(); ++i) {
      const auto row = std::span(golden_.generated_logits).subspan(i * vocab, vocab);
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      if (golden_.generated_ids[i] == best && finite(row)) continue;
      return found("/outputs/generated_ids", "holds " + std::to_string(golden_.generated_ids[i]) +
                                                 " where the largest logit is that of " + std::to_string(best));
    }
  }

  const Plan& plan_;
  const GoldenCase& golden_;
  std::int64_t batch_ = 0;
  std::string at_;
  std::vector<Finding> findings_;
};

/// Whether the judge could tell tap `a` from tap `b` in some case; nothing where they cannot be compared.
std::optional<bool> told_apart(std::span<const GoldenCase> cases, TapId a, TapId b) {
  bool seen = false;
  for (const GoldenCase& golden : cases) {
    const GoldenTap *one = tap_of(golden, a), *other = tap_of(golden, b);
    if (one == nullptr || other == nullptr || one->values.size() != other->values.size()) continue;
    seen = true;
    if (!passes(one->values, other->values)) return true;
  }
  return seen ? std::optional(false) : std::nullopt;
}

/// Keys in the target's cache that are not padding, of each row.
std::vector<std::int64_t> keys_of(const GoldenCase& golden) {
  const Tensor* ids = find(golden.inputs, "input_ids");
  if (ids == nullptr || ids->shape.size() != 2) return {};
  std::vector<std::int64_t> keys(std::size_t(ids->shape[0]), ids->shape[1]);
  const Tensor* mask = find(golden.inputs, "attention_mask");
  if (mask == nullptr || mask->shape != ids->shape) return keys;
  const auto values = mask->integers();
  for (std::size_t b = 0; values && b < keys.size(); ++b) {
    const auto row = values->begin() + std::ptrdiff_t(b) * ids->shape[1];
    keys[b] = std::count_if(row, row + ids->shape[1], [](auto v) { return v != 0; });
  }
  return keys;
}

}  // namespace

std::vector<Finding> check_draft_case(const Plan& plan, const GoldenCase& golden) {
  return CaseCheck(plan, golden).run();
}

std::vector<Finding> check_draft_cases(const Plan& plan, std::span<const GoldenCase> cases) {
  std::vector<Finding> findings;
  for (const TapId id : all_taps(plan)) {
    if (std::none_of(cases.begin(), cases.end(), [&](const GoldenCase& one) { return tap_of(one, id) != nullptr; }))
      findings.push_back({id.name(), "is in no case"});
    for (const TapId input : input_taps(plan, id))
      if (columns(plan, input) == columns(plan, id) && told_apart(cases, id, input) == false)
        findings.push_back({id.name(), "would be met by its op's own input, " + input.name()});
    for (int layer = 0; layer < id.layer; ++layer)
      if (const TapId other{id.tap, layer};
          row_shape(plan, other) == row_shape(plan, id) && told_apart(cases, id, other) == false)
        findings.push_back({id.name(), "is the same as " + other.name()});
  }
  int window = 0;
  for (const LayerPlan& layer : plan.layers) window = std::max(window, layer.window);
  bool past = false, padded = false, steps = false, spoken = false, spoken_batch = false;
  for (const GoldenCase& golden : cases) {
    const std::vector<std::int64_t> keys = keys_of(golden);
    if (keys.empty()) continue;
    const bool draft = golden.paths == std::vector<std::string>{"draft"};
    past = past || (draft && *std::max_element(keys.begin(), keys.end()) > window + 1);
    padded = padded || (draft && *std::min_element(keys.begin(), keys.end()) != keys.front()) ||
             (draft && std::set(keys.begin(), keys.end()).size() > 1);
    steps = steps || (draft && golden.draft_steps > 1);
    spoken = spoken || (!draft && keys.size() == 1);
    spoken_batch = spoken_batch || (!draft && std::set(keys.begin(), keys.end()).size() > 1);
  }
  if (!past) findings.push_back({"/cases", "no case has more keys than a sliding layer of the drafter sees"});
  if (!padded) findings.push_back({"/cases", "no drafted batch has rows of different lengths"});
  if (!steps) findings.push_back({"/cases", "no case drafts more than one token"});
  if (!spoken || !spoken_batch)
    findings.push_back({"/cases", "speculative decoding is not in a case of one row and in a padded batch"});
  return findings;
}

}  // namespace assay
