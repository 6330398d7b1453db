// What passes, what fails, and what a golden must hold to be worth anything.
#include "harness/judge/judge.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/fake.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A golden of the fake model with the values of a correct engine, to be bent.
struct Judging {
  explicit Judging(int batch = 1, int tokens = 4) : in(fake::inputs(batch, tokens)), golden(fake::golden(plan, in)) {}

  CaseView view(std::string_view arithmetic = "fp32") const {
    return {.plan = plan,
            .batch = in.batch,
            .tokens = in.tokens,
            .mask = in.mask,
            .positions = in.positions,
            .taps = golden.taps,
            .arithmetic = arithmetic};
  }
  /// A correct engine's values, all rows.
  std::vector<float> correct(TapId id) const {
    fake::FakeSession session(plan);
    return *drive(session, in, {.taps = {id}})->find(id);
  }
  GoldenTap& tap(std::string_view name) { return fake::tap(golden, name); }

  Plan plan = fake::plan();
  CaseInputs in;
  GoldenCase golden;
};

constexpr const char* kQuery = "text.layer.00.attn.q";

TEST(JudgeTap, ACorrectEnginePassesEveryTap) {
  const Judging j(2, 3);
  ASSERT_EQ(j.golden.taps.size(), all_taps(j.plan).size());
  for (const GoldenTap& tap : j.golden.taps) {
    const TapResult result = judge_tap(j.view(), tap, j.correct(tap.id));
    EXPECT_EQ(result.verdict, Verdict::pass) << result.tap << result.note;
    EXPECT_EQ(result.stats.count, tap.values.size());
  }
}

TEST(JudgeTap, FailsJustOverTheToleranceAndSaysWhere) {
  Judging j(2, 3);
  const GoldenTap& golden = j.tap(kQuery);
  const std::size_t flat = 4 * 4 + 3;  // row 4 = [1, 1]; column 3 = head 1, lane 1
  std::vector<float> values = j.correct(golden.id);
  const double allowed = fp32_engine().atol + fp32_engine().rtol * golden.values[flat];
  values[flat] = golden.values[flat] + float(0.98 * allowed);
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::pass);
  values[flat] = golden.values[flat] + float(1.02 * allowed);
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(result.shape, ElementsAre(2, 3, 2, 2));
  EXPECT_EQ(result.stats.mismatches, 1U);
  EXPECT_EQ(result.stats.expected, golden.values[flat]);
  EXPECT_EQ(result.stats.actual, values[flat]);
}

TEST(JudgeTap, ComparesOnlyTheRowsThatAreKept) {
  Judging j(1, 4);
  GoldenTap& golden = j.tap(kQuery);
  const std::vector<float> correct = j.correct(golden.id);
  golden.rows = {1, 3};
  golden.shape = {2, 2, 2};
  golden.values.assign(correct.begin() + 4, correct.begin() + 8);
  golden.values.insert(golden.values.end(), correct.begin() + 12, correct.end());
  std::vector<float> values = correct;
  values[0] = values[8] = 1e9F;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::pass);
  values[13] += 1;
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(0, 3, 0, 1));
}

TEST(JudgeTap, NeverReadsRowsOfPadding) {
  Judging j(2, 3);
  j.in.mask = {0, 0, 1, 1, 1, 1};
  const GoldenTap& golden = j.tap(kQuery);
  std::vector<float> values = j.correct(golden.id);
  for (int i = 0; i < 8; ++i) values[std::size_t(i)] = std::numeric_limits<float>::quiet_NaN();
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_EQ(result.stats.count, 16U);
  values[8] += 1;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_numeric);
}

TEST(JudgeTap, NansZerosAndWrongSizesHaveTheirVerdicts) {
  Judging j;
  const GoldenTap& golden = j.tap(kQuery);
  std::vector<float> values = j.correct(golden.id);
  values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_nan);
  values[5] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_nan);
  EXPECT_EQ(judge_tap(j.view(), golden, std::vector<float>(values.size(), 0)).verdict, Verdict::fail_numeric);
  EXPECT_EQ(judge_tap(j.view(), golden, std::span(values).first(values.size() - 1)).verdict, Verdict::fail_shape);
  EXPECT_EQ(judge_tap(j.view(), golden, {}).verdict, Verdict::fail_shape);
}

TEST(JudgeTap, AGoldenThatDoesNotFitThePlanFails) {
  Judging j;
  GoldenTap golden = j.tap(kQuery);
  golden.values.pop_back();
  EXPECT_EQ(judge_tap(j.view(), golden, j.correct(golden.id)).verdict, Verdict::fail_shape);
  golden = j.tap(kQuery);
  golden.rows = {0, 1, 2, 4};
  EXPECT_EQ(judge_tap(j.view(), golden, j.correct(golden.id)).verdict, Verdict::fail_shape);
  golden.id = {Tap::attn_k, 1};
  EXPECT_EQ(judge_tap(j.view(), golden, {}).verdict, Verdict::fail_shape);
}

TEST(JudgeTap, Bf16MayLoseTwiceWhatTransformersLosesAndOneAndAQuarterInTheMean) {
  Judging j;
  GoldenTap& golden = j.tap(kQuery);
  golden.noise_bf16 = 0.01;
  golden.noise_bf16_rms = 0.004;
  const auto most = float(lossy_rms_limit(0.004, golden.values.size(), 4));
  std::vector<float> values = j.correct(golden.id);
  values[0] += 0.019F;
  EXPECT_EQ(judge_tap(j.view("bf16"), golden, values).verdict, Verdict::pass);
  EXPECT_EQ(judge_tap(j.view("fp32"), golden, values).verdict, Verdict::fail_numeric);
  values[0] += 0.002F;
  EXPECT_EQ(judge_tap(j.view("bf16"), golden, values).verdict, Verdict::fail_numeric);
  values = j.correct(golden.id);
  for (float& v : values) v += most - 1e-4F;
  EXPECT_EQ(judge_tap(j.view("bf16"), golden, values).verdict, Verdict::pass);
  for (float& v : values) v += 0.0003F;
  const TapResult result = judge_tap(j.view("bf16"), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric) << "every value is within 0.02, their mean is not";
  EXPECT_EQ(result.stats.mismatches, 0U);
  EXPECT_THAT(result.note, HasSubstr("RMS"));
}

TEST(LossyRmsLimit, FewValuesStrayFurther) {
  EXPECT_DOUBLE_EQ(lossy_rms_limit(1, 1000, 100), 1.25 + 5e-5);
  EXPECT_DOUBLE_EQ(lossy_rms_limit(1, 256, 16), 1.25 + 5e-5);
  EXPECT_DOUBLE_EQ(lossy_rms_limit(1, 16, 16), 2 + 5e-5);
  EXPECT_DOUBLE_EQ(lossy_rms_limit(1, 1000, 1), 2 + 5e-5) << "values of a row are off together";
  EXPECT_DOUBLE_EQ(lossy_rms_limit(1, 1000, 4), 1.5 + 5e-5);
}

TEST(JudgeTap, Int8IsJudgedWhereItsLossWasMeasured) {
  Judging j;
  GoldenTap& golden = j.tap(kQuery);
  golden.noise_int8 = golden.noise_int8_rms = std::numeric_limits<double>::quiet_NaN();
  std::vector<float> values = j.correct(golden.id);
  EXPECT_EQ(judge_tap(j.view("int8"), golden, values).verdict, Verdict::unsupported);
  golden.noise_int8 = 0.01;
  golden.noise_int8_rms = 0.005;
  values[0] += 0.019F;
  EXPECT_EQ(judge_tap(j.view("int8"), golden, values).verdict, Verdict::pass);
  values[0] += 0.002F;
  EXPECT_EQ(judge_tap(j.view("int8"), golden, values).verdict, Verdict::fail_numeric);
}

TEST(JudgeTap, AnUnknownArithmeticIsUnsupported) {
  Judging j;
  for (const char* unknown : {"tf32", "", "bf16+kv=q4_0", "fp32+kv=", "bf16 +kv=bf16"}) {
    EXPECT_EQ(judge_tap(j.view(unknown), j.tap(kQuery), j.correct(j.tap(kQuery).id)).verdict, Verdict::unsupported);
    EXPECT_EQ(judge_ids(j.view(unknown), j.golden, j.golden.generated_ids).verdict, Verdict::unsupported);
  }
}

TEST(JudgeTap, ACacheIsJudgedByWhatItLosesAlone) {
  Judging j;
  GoldenTap& golden = j.tap(kQuery);
  std::vector<float> values = j.correct(golden.id);
  EXPECT_EQ(judge_tap(j.view("fp32+kv=q8_0"), golden, values).verdict, Verdict::unsupported) << "not measured";
  golden.losses = {{"kv_q8_0", {.most = 0.01, .rms = 0.005}}};
  golden.noise_bf16 = 1;
  values[0] += 0.019F;
  EXPECT_EQ(judge_tap(j.view("fp32+kv=q8_0"), golden, values).verdict, Verdict::pass);
  values[0] += 0.002F;
  EXPECT_EQ(judge_tap(j.view("fp32+kv=q8_0"), golden, values).verdict, Verdict::fail_numeric);
  EXPECT_EQ(judge_tap(j.view("fp32+kv=bf16"), golden, values).verdict, Verdict::unsupported);
}

TEST(JudgeIds, OtherIdsHaveNoVerdictWhereNobodyKnowsHowLogitsMove) {
  Judging j;
  std::vector<std::int64_t> ids = j.golden.generated_ids;
  ids[1] += 1;
  std::erase_if(j.golden.taps, [](const GoldenTap& tap) { return tap.id.tap == Tap::logits; });
  EXPECT_EQ(judge_ids(j.view("bf16"), j.golden, ids).verdict, Verdict::unsupported);
  EXPECT_EQ(judge_ids(j.view("bf16"), j.golden, j.golden.generated_ids).verdict, Verdict::pass);
  EXPECT_EQ(judge_ids(j.view("fp32"), j.golden, ids).verdict, Verdict::fail_numeric);
}

TEST(JudgeTap, LogitsAreComparedAsDistributionsToo) {
  Judging j;
  const GoldenTap& golden = j.tap("text.logits");
  std::vector<float> values = j.correct(golden.id);
  const auto whole = judge_tap(j.view(), golden, values).agreement;
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->rows, 4U);
  EXPECT_EQ(whole->same_top, 4U);
  EXPECT_EQ(whole->kl_most, 0);
  values[0] += 9;
  const auto other = judge_tap(j.view(), golden, values).agreement;
  EXPECT_EQ(other->same_top, 3U);
  EXPECT_GT(other->kl_most, 1);
  EXPECT_FALSE(judge_tap(j.view(), j.tap(kQuery), j.correct(j.tap(kQuery).id)).agreement);
}

TEST(JudgeChoice, ADifferentSetOfExpertsFailsHoweverSmallItsWeights) {
  Judging j;
  GoldenTap& golden = j.tap("text.layer.01.router.topk");
  std::vector<float> values = golden.values;
  for (float& v : golden.values) v *= 1e-7F;  // far below any atol
  for (float& v : values) v *= 1e-7F;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::pass);
  std::swap(values[4], values[5]);
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.note, HasSubstr("1 of 4 rows choose otherwise, the first [0, 1]"));
}

TEST(JudgeChoice, IsNotJudgedWhereTheGoldensMarginIsWithinTheNoise) {
  Judging j;
  GoldenTap& golden = j.tap("text.layer.01.router.topk");
  std::vector<float> values = golden.values;
  std::swap(values[4], values[5]);
  j.tap("text.layer.01.router.probs").noise_fp32 = golden.margin / 9;
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_THAT(result.note, HasSubstr("not judged"));
  j.tap("text.layer.01.router.probs").noise_fp32 = golden.margin / 11;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_numeric);
  j.tap("text.layer.01.router.probs").noise_fp32 = 1;
  values[4] = values[5] = 0;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_numeric) << "no margin explains fewer experts";
}

TEST(JudgeChoice, TheWeightsOfTheSameExpertsAreJudgedToo) {
  Judging j;
  const GoldenTap& golden = j.tap("text.layer.01.router.topk");
  std::vector<float> values = golden.values;
  for (float& v : values) v *= 1.001F;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_numeric);
}

TEST(JudgeIds, EqualOrFailedWithTheFirstDifference) {
  Judging j(2, 3);
  std::vector<std::int64_t> ids = j.golden.generated_ids;
  EXPECT_EQ(judge_ids(j.view(), j.golden, ids).verdict, Verdict::pass);
  ids[4] += 1;
  const TapResult result = judge_ids(j.view(), j.golden, ids);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(1, 1));
  EXPECT_THAT(result.note, HasSubstr("row 1, step 1"));
  EXPECT_EQ(judge_ids(j.view(), j.golden, std::span(ids).first(5)).verdict, Verdict::fail_shape);
}

TEST(JudgeIds, HaveNoVerdictWhereTheGoldensMarginIsWithinTheNoise) {
  Judging j;
  std::vector<std::int64_t> ids = j.golden.generated_ids;
  ids[1] += 1;
  j.tap("text.logits").noise_fp32 = j.golden.generated_margin / 9;
  const TapResult result = judge_ids(j.view(), j.golden, ids);
  EXPECT_EQ(result.verdict, Verdict::pass);
  EXPECT_THAT(result.note, HasSubstr("not judged"));
  j.tap("text.logits").noise_fp32 = j.golden.generated_margin / 11;
  EXPECT_EQ(judge_ids(j.view(), j.golden, ids).verdict, Verdict::fail_numeric);
}

TEST(JudgeGeneratedLogits, AreComparedUpToTheStepWhereARowPartsFromTheGolden) {
  Judging j(2, 3);
  const std::size_t vocab = std::size_t(j.plan.vocab);
  std::vector<std::int64_t> ids = j.golden.generated_ids;
  std::vector<float> logits = j.golden.generated_logits;
  EXPECT_EQ(judge_generated_logits(j.view(), j.golden, ids, logits).verdict, Verdict::pass);
  ids[3] += 1;  // row 1 parts at step 0: its steps 1 and 2 have other inputs
  logits[4 * vocab + 1] += 9;
  EXPECT_EQ(judge_generated_logits(j.view(), j.golden, ids, logits).verdict, Verdict::pass);
  logits[3 * vocab + 2] += 9;  // step 0 itself has not
  const TapResult result = judge_generated_logits(j.view(), j.golden, ids, logits);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(1, 0, 2));
  logits[2 * vocab] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(judge_generated_logits(j.view(), j.golden, ids, logits).verdict, Verdict::fail_nan);
  logits.pop_back();
  EXPECT_EQ(judge_generated_logits(j.view(), j.golden, ids, logits).verdict, Verdict::fail_shape);
}

TEST(Vacuous, AGoldenOfDistinctValuesIsNot) {
  const Judging j;
  for (const GoldenTap& tap : j.golden.taps) EXPECT_THAT(vacuous(j.view(), tap), IsEmpty()) << tap.id.name();
}

TEST(Vacuous, WhereZerosWouldPass) {
  Judging j;
  for (float& v : j.tap("text.layer.00.mlp").values) v *= 1e-6F;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.mlp")), HasSubstr("zeros"));
  j.tap(kQuery).noise_bf16 = 10;
  j.tap(kQuery).noise_bf16_rms = 10;
  EXPECT_THAT(vacuous(j.view("bf16"), j.tap(kQuery)), HasSubstr("zeros")) << "a tolerance can be too wide, too";
}

TEST(Vacuous, WhereTheOpsOwnInputWouldPass) {
  Judging j;
  j.tap("text.layer.00.attn.q_rope").values = j.tap(kQuery).values;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.attn.q_rope")), HasSubstr("its own input text.layer.00.attn.q"));
  j.tap("text.layer.00.attn_norm").values = j.tap("text.embed").values;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.attn_norm")), HasSubstr("text.embed"));
  j.tap("text.layer.01.post_attn").values = j.tap("text.layer.00.out").values;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.01.post_attn")), HasSubstr("text.layer.00.out"));
  j.tap("text.norm").values = j.tap("text.layer.01.out").values;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.norm")), HasSubstr("text.layer.01.out"));
}

TEST(Vacuous, RopeLeavesPosition0AsItIs) {
  Judging j(1, 1);
  j.tap("text.layer.00.attn.q_rope").values = j.tap(kQuery).values;
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.attn.q_rope")), IsEmpty());
  j.in.positions = {5};
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.attn.q_rope")), HasSubstr("input"));
}

TEST(Vacuous, AnInputThatIsNotKeptAtTheSameRowsIsNotTried) {
  Judging j(1, 4);
  j.tap("text.layer.00.attn.q_rope").values = j.tap(kQuery).values;
  GoldenTap& input = j.tap(kQuery);
  input.rows = {0, 1, 2};
  input.shape = {3, 2, 2};
  input.values.resize(12);
  EXPECT_THAT(vacuous(j.view(), j.tap("text.layer.00.attn.q_rope")), IsEmpty());
}

TEST(Vacuous, AGoldenOfPaddingAlone) {
  Judging j(2, 2);
  j.in.mask = {0, 1, 1, 1};
  GoldenTap& golden = j.tap(kQuery);
  golden.rows = {0};
  golden.shape = {1, 2, 2};
  golden.values.resize(4);
  EXPECT_THAT(vacuous(j.view(), golden), HasSubstr("no row"));
}

}  // namespace
}  // namespace assay
