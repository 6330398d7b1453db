// A drafter's golden: what check reports of one that proves too little.
#include <algorithm>
#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden/check_draft.h"

namespace assay {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

Plan drafter() {
  Plan plan;
  plan.hidden = 3;
  plan.vocab = 6;
  plan.assistant = AssistantPlan{.backbone = 4, .centroids = Centroids{3, 2}};
  LayerPlan layer{.q_heads = 1,
                  .kv_heads = 1,
                  .head_dim = 2,
                  .kv = {KvSource::target, 0},
                  .window = 2,
                  .rope = {},
                  .ffn_width = 3,
                  .experts = std::nullopt};
  plan.layers = {layer, layer};
  plan.layers[1].window = 0;
  return plan;
}

/// Values that differ from tap to tap, row to row and column to column.
float value(TapId id, std::size_t i) {
  return float(std::sin(double(i) * 1.7 + int(id.tap) * 0.9 + id.layer * 2.3) + 1.5);
}

GoldenCase round(const Plan& plan, int tokens, int batch, int steps) {
  GoldenCase golden;
  golden.name = "case";
  golden.what = "Something.";
  golden.paths = {"draft"};
  golden.draft_steps = golden.generated = steps;
  golden.inputs.push_back(
      {"input_ids", Tensor::own({batch, tokens}, std::vector<std::int64_t>(std::size_t(batch * tokens), 1))});
  if (batch > 1) {
    std::vector<std::int64_t> mask(std::size_t(batch * tokens), 1);
    mask[0] = 0;
    golden.inputs.push_back({"attention_mask", Tensor::own({batch, tokens}, mask)});
  }
  for (const TapId id : all_taps(plan)) {
    GoldenTap tap{.id = id, .shape = row_shape(plan, id), .rows = {}, .values = {}};
    tap.shape.insert(tap.shape.begin(), {batch, steps});
    tap.noise_fp32 = 1e-7;
    tap.margin = 1e-2;
    for (int i = 0; i < batch * steps * columns(plan, id); ++i) tap.values.push_back(value(id, std::size_t(i)));
    golden.taps.push_back(std::move(tap));
  }
  golden.generated_logits = golden.taps.back().values;
  for (int r = 0; r < batch * steps; ++r) {
    const auto row = golden.generated_logits.begin() + std::ptrdiff_t(r) * plan.vocab;
    golden.generated_ids.push_back(std::max_element(row, row + plan.vocab) - row);
  }
  golden.generated_margin = 1e-2;
  golden.logits.assign(std::size_t(batch * plan.vocab), 1);
  return golden;
}

GoldenCase spoken(const Plan& plan, int batch) {
  GoldenCase golden = round(plan, 4, batch, 3);
  golden.paths = {"speculative"};
  golden.taps.clear();
  return golden;
}

std::vector<std::string> texts(const std::vector<Finding>& findings) {
  std::vector<std::string> all;
  for (const Finding& finding : findings) all.push_back(finding.at + " " + finding.what);
  return all;
}

std::vector<std::string> bent(const std::function<void(GoldenCase&)>& bend) {
  const Plan plan = drafter();
  GoldenCase golden = round(plan, 4, 2, 3);
  bend(golden);
  return texts(check_draft_case(plan, golden));
}

GoldenTap& tap(GoldenCase& golden, std::string_view name) {
  return *std::find_if(golden.taps.begin(), golden.taps.end(), [&](const GoldenTap& t) { return t.id.name() == name; });
}

TEST(CheckDraftCase, FindsNothingWrongWithAGoodOne) {
  EXPECT_THAT(bent([](GoldenCase&) {}), IsEmpty());
  EXPECT_THAT(texts(check_draft_case(drafter(), spoken(drafter(), 2))), IsEmpty());
}

TEST(CheckDraftCase, NamesWhatIsMissingOrWrong) {
  const auto has = [](const char* text) { return Contains(HasSubstr(text)); };
  EXPECT_THAT(bent([](GoldenCase& g) { g.what.clear(); }), has("@what is empty"));
  EXPECT_THAT(bent([](GoldenCase& g) { g.paths = {"prefill"}; }), has("@paths is neither draft nor speculative"));
  EXPECT_THAT(bent([](GoldenCase& g) { g.taps.erase(g.taps.begin()); }), has("/taps/assistant.in is missing"));
  EXPECT_THAT(bent([](GoldenCase& g) {
                g.taps.front().id = {Tap::norm, -1};
              }),
              has("text.norm is no tap of this model"));
  EXPECT_THAT(bent([](GoldenCase& g) { tap(g, "assistant.state").shape[1] = 2; }),
              has("assistant.state has shape [2, 2, 4], expected [2, 3, 4]"));
  EXPECT_THAT(bent([](GoldenCase& g) { tap(g, "assistant.norm").values[0] = NAN; }),
              has("assistant.norm is not finite"));
  EXPECT_THAT(bent([](GoldenCase& g) { tap(g, "assistant.norm").noise_excess = 1e-3; }), has("@noise_excess is 0.001"));
  EXPECT_THAT(bent([](GoldenCase& g) { tap(g, "assistant.norm").noise_bf16 = NAN; }),
              has("@noise_bf16 was not measured"));
  EXPECT_THAT(bent([](GoldenCase& g) { std::ranges::fill(tap(g, "assistant.norm").values, 0.0F); }),
              has("would be met by zeros"));
  EXPECT_THAT(bent([](GoldenCase& g) { std::ranges::fill(tap(g, "assistant.norm").values, 1.0F); }),
              has("has the same values in every row"));
  EXPECT_THAT(bent([](GoldenCase& g) { tap(g, "assistant.logits").margin_noise = 1; }), has("@cut_margin is 0.01"));
  EXPECT_THAT(bent([](GoldenCase& g) { g.generated_margin = 1e-5; }), has("@margin is 1e-05, too little"));
  EXPECT_THAT(bent([](GoldenCase& g) { g.generated_ids[2] = (g.generated_ids[2] + 1) % 6; }),
              has("where the largest logit is that of"));
  EXPECT_THAT(bent([](GoldenCase& g) { g.generated_logits[0] += 1; }), has("is not assistant.logits"));
}

TEST(CheckDraftCases, WantsEveryKindOfRound) {
  const Plan plan = drafter();
  const std::vector<GoldenCase> good = {round(plan, 4, 2, 3), spoken(plan, 1), spoken(plan, 2)};
  EXPECT_THAT(texts(check_draft_cases(plan, good)), IsEmpty());
  const auto without = [&](std::vector<GoldenCase> cases) { return texts(check_draft_cases(plan, cases)); };
  EXPECT_THAT(without({round(plan, 3, 2, 3), good[1], good[2]}), Contains(HasSubstr("more keys than a sliding layer")));
  EXPECT_THAT(without({round(plan, 4, 1, 3), good[1], good[2]}), Contains(HasSubstr("no drafted batch")));
  EXPECT_THAT(without({round(plan, 4, 2, 1), good[1], good[2]}), Contains(HasSubstr("more than one token")));
  EXPECT_THAT(without({good[0], good[1]}), Contains(HasSubstr("speculative decoding is not in a case")));
}

TEST(CheckDraftCases, WantsTapsThatDiffer) {
  const Plan plan = drafter();
  std::vector<GoldenCase> cases = {round(plan, 4, 2, 3), spoken(plan, 1), spoken(plan, 2)};
  tap(cases[0], "assistant.layer.01.attn.q_rope").values = tap(cases[0], "assistant.layer.01.attn.q").values;
  tap(cases[0], "assistant.layer.01.mlp").values = tap(cases[0], "assistant.layer.00.mlp").values;
  EXPECT_THAT(texts(check_draft_cases(plan, cases)),
              testing::AllOf(Contains(HasSubstr("attn.q_rope would be met by its op's own input")),
                             Contains(HasSubstr("layer.01.mlp is the same as assistant.layer.00.mlp"))));
}

}  // namespace
}  // namespace assay
