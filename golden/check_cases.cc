// The cases of a golden: whole, quiet, exposing.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

#include "base/error_stats.h"
#include "base/tolerance.h"
#include "engine/media_rows.h"
#include "golden/check.h"

namespace assay {
namespace {

constexpr double kNoiseShare = 0.5;  // of atol, that transformers itself may use up (DESIGN.md section 4)
constexpr double kRoom = 10;         // times its noise, that a discrete choice stays away from another
/// Longer cases may keep selected rows of every tap: they are judged free-running only, and would outweigh all others.
constexpr std::int64_t kAllRowsUpTo = 256;
constexpr std::array kForTeacherForcing = {Tap::embed,     Tap::ple,         Tap::out,
                                           Tap::post_attn, Tap::attn_k_rope, Tap::attn_v};
/// The same in towers, of which one case keeps all real rows; others keep some of each picture and clip.
constexpr std::array kForTeacherForcingTowers = {
    Tap::vision_patch_embed, Tap::vision_attn_k_rope, Tap::vision_attn_v, Tap::vision_post_attn, Tap::vision_out,
    Tap::audio_mel,          Tap::audio_subsample,    Tap::audio_attn,    Tap::audio_conv,       Tap::audio_out};
/// What every case is judged by, whatever else it leaves to others: each layer's input and result, what it chose, and
/// where tokens come from. From a layer's input the oracle makes the rest.
constexpr std::array kInEveryCase = {Tap::embed, Tap::ple, Tap::router_topk, Tap::out, Tap::norm, Tap::logits};
constexpr std::array kInEveryCaseWithMedia = {Tap::vision_patch_embed, Tap::vision_out, Tap::vision_pooled,
                                              Tap::vision_projected,   Tap::audio_out,  Tap::audio_encoded,
                                              Tap::audio_projected};
constexpr std::array<std::string_view, 5> kPaths = {"prefill", "nocache", "chunked", "decode", "batched"};

template <std::size_t n>
bool has(const std::array<Tap, n>& taps, Tap tap) {
  return std::find(taps.begin(), taps.end(), tap) != taps.end();
}

std::string text(double value) {
  char buffer[32];
  std::snprintf(static_cast<char*>(buffer), sizeof buffer, "%.3g", value);
  return static_cast<char*>(buffer);
}

/// The rows of a tap by flat token index, without padding.
using TapRows = std::map<std::int64_t, std::span<const float>>;

struct Extent {
  std::int64_t batch = 0, tokens = 0;
  CaseRows rows;
  std::vector<std::int64_t> ids;  ///< [B * T]

  /// The one id that a row has seen so far; nothing where it has seen two. A mean of equal values is that value, so
  /// rows that saw one id only must agree.
  std::optional<std::int64_t> only_id(std::int64_t token) const {
    const std::vector<bool>& real = rows.real(RowSpace::tokens);
    for (std::int64_t i = token - token % tokens; i <= token; ++i)
      if (real[std::size_t(i)] && ids[std::size_t(i)] != ids[std::size_t(token)]) return std::nullopt;
    return ids[std::size_t(token)];
  }
};

Extent extent_of(const Plan& plan, const GoldenCase& golden) {
  const SoftTokens soft{.pool = plan.vision ? plan.vision->pool : 1,
                        .subsampled = !plan.audio || !plan.audio->encoder_free};
  const auto rows = CaseRows::of(golden.inputs, soft);
  if (!rows) return {};
  Extent extent{rows->batch(), rows->tokens(), *rows, {}};
  const Tensor* ids = find(golden.inputs, "input_ids");
  extent.ids = ids->integers().value_or(std::vector<std::int64_t>(std::size_t(ids->elements())));
  return extent;
}

TapRows rows_of(const GoldenTap& tap, const Extent& extent) {
  const std::vector<bool>& real = extent.rows.real(row_space(tap.id.tap));
  const std::size_t count = tap.rows.empty() ? real.size() : tap.rows.size();
  const std::size_t width = count == 0 ? 0 : tap.values.size() / count;
  TapRows rows;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = tap.rows.empty() ? i : std::size_t(tap.rows[i]);
    if (row < real.size() && real[row]) rows[std::int64_t(row)] = std::span(tap.values).subspan(i * width, width);
  }
  return rows;
}

const GoldenTap* find(const GoldenCase& golden, TapId id) {
  const auto found =
      std::find_if(golden.taps.begin(), golden.taps.end(), [&](const GoldenTap& tap) { return tap.id == id; });
  return found == golden.taps.end() ? nullptr : &*found;
}

/// Whether the judge would take `actual` for `expected`.
bool passes(std::span<const float> expected, std::span<const float> actual) {
  return expected.size() == actual.size() && compare(expected, actual, fp32_engine()).passed();
}

/// Over the rows that both keep; `seen` becomes true where there was one.
bool passes(const TapRows& expected, const TapRows& actual, bool& seen) {
  for (const auto& [token, row] : expected)
    if (const auto other = actual.find(token); other != actual.end()) {
      seen = true;
      if (!passes(row, other->second)) return false;
    }
  return true;
}

class CaseCheck {
 public:
  CaseCheck(const Plan& plan, const GoldenCase& golden, bool exposing)
      : plan_(plan),
        golden_(golden),
        exposing_(exposing),
        extent_(extent_of(plan, golden)),
        at_("/cases/" + golden.name) {}

  std::vector<Finding> run() {
    if (golden_.what.empty()) found("@what", "is empty");
    paths();
    mask();
    media();
    for (const TapId id : all_taps(plan_))
      if (const GoldenTap* tap = find(golden_, id); tap != nullptr)
        check(*tap);
      else if (has(kInEveryCase, id.tap) ||
               (has(kInEveryCaseWithMedia, id.tap) && extent_.rows.count(row_space(id.tap)) > 0))
        found("/taps/" + id.name(), "is missing");
    for (const GoldenTap& tap : golden_.taps)
      if (!exists(plan_, tap.id)) found("/taps/" + tap.id.name(), "is no tap of this model");
    outputs();
    return std::move(findings_);
  }

 private:
  void found(const std::string& part, std::string what) { findings_.push_back({at_ + part, std::move(what)}); }

  void paths() {
    std::set<std::string> seen;
    for (const std::string& path : golden_.paths) {
      if (std::find(kPaths.begin(), kPaths.end(), path) == kPaths.end())
        found("@paths", "holds '" + path + "', which is no path");
      if (!seen.insert(path).second) found("@paths", "holds " + path + " twice");
    }
    if (golden_.paths.empty()) found("@paths", "is empty");
    if (extent_.batch > 1 && seen != std::set<std::string>{"batched"})
      found("@paths", "is not 'batched' though the case has " + std::to_string(extent_.batch) + " rows");
    if (extent_.batch == 1 && seen.contains("batched")) found("@paths", "holds batched though the case has one row");
  }

  void mask() {
    const Tensor* given = assay::find(golden_.inputs, "attention_mask");
    if (given == nullptr) return;
    const auto values = given->integers();
    if (!values || given->shape != std::vector<std::int64_t>{extent_.batch, extent_.tokens})
      found("/inputs/attention_mask", "is not an integer tensor of input_ids' shape");
    else if (std::any_of(values->begin(), values->end(), [](std::int64_t v) { return v != 0 && v != 1; }))
      found("/inputs/attention_mask", "holds values other than 0 and 1");
  }

  /// As many soft tokens as places for them, and pixels and sound that are numbers.
  void media() {
    for (const auto& [name, tensor] : golden_.inputs)
      if (tensor.dtype != Dtype::i64)
        if (const auto values = tensor.floats();
            !values || std::any_of(values->begin(), values->end(), [](float v) { return !std::isfinite(v); }))
          found("/inputs/" + name, "is not finite");
    if (const auto rows = media_rows(plan_, golden_.inputs); !rows) found("/inputs", rows.error().message());
    places(RowSpace::vision_soft, {plan_.placeholders.image, plan_.placeholders.video});
    places(RowSpace::audio_soft, {plan_.placeholders.audio});
  }

  void places(RowSpace space, std::initializer_list<std::optional<std::int64_t>> ids) {
    const std::int64_t made = extent_.rows.count(space);
    if (made == 0) return;  // such rows keep the pad's embedding
    std::int64_t there = 0;
    for (const auto& id : ids)
      if (id) there += std::count(extent_.ids.begin(), extent_.ids.end(), *id);
    if (there != made)
      found("/inputs/input_ids", "has " + std::to_string(there) + " places for " + std::to_string(made) +
                                     " soft tokens of " + (space == RowSpace::vision_soft ? "pictures" : "sound"));
  }

  void check(const GoldenTap& tap) {
    const std::string part = "/taps/" + tap.id.name();
    std::vector<std::int64_t> expected = row_shape(plan_, tap.id);
    const RowSpace space = row_space(tap.id.tap);
    if (!tap.rows.empty())
      expected.insert(expected.begin(), std::int64_t(tap.rows.size()));
    else if (space == RowSpace::tokens)
      expected.insert(expected.begin(), {extent_.batch, extent_.tokens});
    else
      expected.insert(expected.begin(), extent_.rows.count(space));
    if (tap.shape != expected) {
      found(part, "has shape " + shape_text(tap.shape) + ", expected " + shape_text(expected));
      return;
    }
    if (exposing_ && has(kForTeacherForcing, tap.id.tap) && !tap.rows.empty() && extent_.tokens <= kAllRowsUpTo)
      found(part + "@rows", "teacher forcing needs all rows");
    noise(tap, part);

    const TapRows rows = rows_of(tap, extent_);
    if (rows.empty()) {
      found(part, "keeps no real row");
      return;
    }
    if (space != RowSpace::tokens && !tap.rows.empty() && rows.size() != tap.rows.size())
      found(part + "@rows", "holds padding");
    for (const auto& [token, row] : rows)
      if (std::any_of(row.begin(), row.end(), [](float v) { return !std::isfinite(v); })) {
        found(part, "is not finite in row " + std::to_string(token));
        return;
      }
    const std::vector<float> zeros(rows.begin()->second.size());
    if (std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return passes(row.second, zeros); }))
      found(part, "would be met by zeros");
    const std::span<const float> first_row = rows.begin()->second;
    if (rows.size() > 1 &&
        std::all_of(rows.begin(), rows.end(), [&](const auto& row) { return passes(first_row, row.second); }))
      found(part, "has the same values in every row");
    if (tap.id == TapId{Tap::out, int(plan_.layers.size()) - 1}) distinct(rows, part);
  }

  /// Every layer's mixing ends in these rows: two that still agree were never told apart.
  void distinct(const TapRows& rows, const std::string& part) {
    for (auto one = rows.begin(); one != rows.end(); ++one)
      for (auto other = std::next(one); other != rows.end(); ++other) {
        const auto id = extent_.only_id(one->first);
        if ((id && id == extent_.only_id(other->first)) || !passes(one->second, other->second)) continue;
        found(part,
              "has the same values in rows " + std::to_string(one->first) + " and " + std::to_string(other->first));
        return;
      }
  }

  void noise(const GoldenTap& tap, const std::string& part) {
    const double most = fp32_engine().atol * kNoiseShare;
    if (!(tap.noise_excess <= most))
      found(part + "@noise_excess", "is " + text(tap.noise_excess) + ", more than " + text(most));
    if (!std::isfinite(tap.noise_bf16) || !std::isfinite(tap.noise_bf16_rms))
      found(part + "@noise_bf16", "was not measured");
    if (tap.id.tap != Tap::router_topk) return;
    const GoldenTap* probs = find(golden_, {Tap::router_probs, tap.id.layer});
    if (probs != nullptr && !(tap.margin >= kRoom * probs->noise_fp32))
      found(part + "@margin",
            "is " + text(tap.margin) + ", less than 10 times the noise of router.probs, " + text(probs->noise_fp32));
  }

  void outputs() {
    if (golden_.generated == 0) return;
    const GoldenTap* tap = find(golden_, {Tap::logits, -1});
    if (tap == nullptr || golden_.logits.size() != std::size_t(extent_.batch * plan_.vocab)) return;
    if (!(golden_.generated_margin >= kRoom * tap->noise_fp32))
      found("/outputs/generated_ids@margin", "is " + text(golden_.generated_margin) +
                                                 ", less than 10 times the noise of the logits, " +
                                                 text(tap->noise_fp32));
    const TapRows rows = rows_of(*tap, extent_);
    for (std::int64_t b = 0; b < extent_.batch; ++b) {
      const auto last = std::span(golden_.logits).subspan(std::size_t(b * plan_.vocab), std::size_t(plan_.vocab));
      if (std::any_of(last.begin(), last.end(), [](float v) { return !std::isfinite(v); })) {
        found("/outputs/logits", "is not finite");
        return;
      }
      const auto kept = rows.find((b + 1) * extent_.tokens - 1);
      if (kept != rows.end() && !std::equal(last.begin(), last.end(), kept->second.begin(), kept->second.end()))
        found("/outputs/logits", "is not the last row of text.logits in batch row " + std::to_string(b));
    }
    steps();
  }

  /// Each generated id is the largest of its step's logits.
  void steps() {
    const std::size_t vocab = std::size_t(plan_.vocab);
    if (golden_.generated_logits.size() != golden_.generated_ids.size() * vocab) return;
    for (std::size_t i = 0; i < golden_.generated_ids.size(); ++i) {
      const auto row = std::span(golden_.generated_logits).subspan(i * vocab, vocab);
      const auto best = std::max_element(row.begin(), row.end()) - row.begin();
      if (golden_.generated_ids[i] == best && std::isfinite(row[std::size_t(best)])) continue;
      found("/outputs/generated_ids", "holds " + std::to_string(golden_.generated_ids[i]) +
                                          " where the largest logit is that of " + std::to_string(best));
      return;
    }
  }

  const Plan& plan_;
  const GoldenCase& golden_;
  bool exposing_;
  Extent extent_;
  std::string at_;
  std::vector<Finding> findings_;
};

/// The taps that `id`'s op reads and whose rows could stand for its own, by the tap table.
std::vector<TapId> inputs_of(const Plan& plan, TapId id) {
  std::vector<TapId> inputs = input_taps(plan, id);
  std::erase_if(inputs, [&](TapId input) {
    return row_space(input.tap) != row_space(id.tap) || columns(plan, input) != columns(plan, id);
  });
  return inputs;
}

/// Whether some case keeps every real row of a tap that teacher forcing starts from; true for other taps.
bool kept_whole(std::span<const GoldenCase> cases, std::span<const Extent> extents, TapId id) {
  if (!has(kForTeacherForcing, id.tap) && !has(kForTeacherForcingTowers, id.tap)) return true;
  for (std::size_t i = 0; i < cases.size(); ++i)
    if (const GoldenTap* tap = find(cases[i], id);
        tap != nullptr &&
        (tap->rows.empty() || (has(kForTeacherForcingTowers, id.tap) &&
                               std::ssize(tap->rows) == extents[i].rows.real_count(row_space(id.tap)))))
      return true;
  return false;
}

/// Whether the judge could tell tap `a` from tap `b` in some case; nothing where they cannot be compared.
std::optional<bool> told_apart(std::span<const GoldenCase> cases, std::span<const Extent> extents, TapId a, TapId b) {
  bool seen = false;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const GoldenTap *one = find(cases[i], a), *other = find(cases[i], b);
    if (one == nullptr || other == nullptr) continue;
    if (!passes(rows_of(*one, extents[i]), rows_of(*other, extents[i]), seen)) return true;
  }
  return seen ? std::optional(false) : std::nullopt;
}

}  // namespace

std::vector<Finding> check_case(const Plan& plan, const GoldenCase& golden, bool exposing) {
  return CaseCheck(plan, golden, exposing).run();
}

std::vector<Finding> check_cases(const Plan& plan, std::span<const GoldenCase> cases) {
  std::vector<Finding> findings;
  std::vector<Extent> extents;
  for (const GoldenCase& golden : cases) extents.push_back(extent_of(plan, golden));
  for (const TapId id : all_taps(plan)) {
    if (std::none_of(cases.begin(), cases.end(), [&](const GoldenCase& golden) { return find(golden, id) != nullptr; }))
      findings.push_back({id.name(), "is in no case"});
    else if (!kept_whole(cases, extents, id))
      findings.push_back({id.name(), "keeps all rows in no case: its layer could not be teacher-forced"});
    for (const TapId input : inputs_of(plan, id))
      if (told_apart(cases, extents, id, input) == false)
        findings.push_back({id.name(), "would be met by its op's own input, " + input.name()});
    for (int layer = 0; layer < id.layer; ++layer)
      if (const TapId other{id.tap, layer}; exists(plan, other) && row_shape(plan, other) == row_shape(plan, id) &&
                                            told_apart(cases, extents, id, other) == false)
        findings.push_back({id.name(), "is the same as " + other.name()});
  }
  bool generates = false, varies = false;
  for (const GoldenCase& golden : cases)
    for (std::size_t first = 0; first < golden.generated_ids.size(); first += std::size_t(golden.generated)) {
      const auto row = std::span(golden.generated_ids).subspan(first, std::size_t(golden.generated));
      generates = generates || row.size() > 1;
      varies = varies || (row.size() > 1 && 2 * std::set(row.begin(), row.end()).size() >= row.size());
    }
  if (!generates)
    findings.push_back({"/cases", "no case generates more than one token"});
  else if (!varies)
    findings.push_back({"/cases", "in no case do the generated ids vary"});
  return findings;
}

}  // namespace assay
