// Media through drive and judge: towers' taps come once, whole, in rows of their own.
#include <gmock/gmock.h>

#include "fake.h"
#include "harness/judge/judge.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kImage = 9;
constexpr TapId kEmbed{Tap::vision_patch_embed, -1}, kQuery{Tap::vision_attn_q, 0}, kSoft{Tap::vision_projected, -1};

Plan seeing() {
  Plan plan = fake::plan();
  plan.placeholders.image = kImage;
  plan.placeholder_ids = {kImage};
  plan.vision = VisionPlan{.patch_values = 1, .hidden = 4, .positions = 9, .pool = 3};
  plan.vision->layers.push_back({.heads = 2, .kv_heads = 1, .head_dim = 4, .rope = {}});
  return plan;
}

/// Two images of 9 and 18 patches, the first padded to the second's length; three soft tokens.
CaseInputs inputs(std::vector<std::int64_t> ids, int batch = 1) {
  CaseInputs in;
  in.batch = batch;
  in.tokens = int(ids.size()) / batch;
  in.ids = std::move(ids);
  std::vector<std::int64_t> grid;
  for (const int width : {3, 6}) {
    for (int i = 0; i < 3 * width; ++i) grid.insert(grid.end(), {i % width, i / width});
    grid.resize(grid.size() + 2 * (18 - 3 * std::size_t(width)), -1);
  }
  in.more.push_back({"pixel_values", Tensor::own({2, 18, 1}, std::vector<float>(36, 0.5F))});
  in.more.push_back({"image_position_ids", Tensor::own({2, 18, 2}, std::move(grid))});
  return in;
}

TEST(Media, TapsOfTowersAreThoseOfTheFirstPiece) {
  const CaseInputs in = inputs({1, kImage, 2, kImage, kImage, 3});
  for (const Path path : {Path{Path::prefill}, Path{Path::nocache}, Path{Path::chunked, 2}, Path{Path::decode}}) {
    fake::FakeSession session(seeing());
    const auto driven =
        drive(session, in, {.path = path, .generate = 2, .taps = {kEmbed, kQuery, kSoft, {Tap::embed, -1}}});
    ASSERT_TRUE(driven) << path.name() << driven.error().message();
    EXPECT_EQ(driven->find(kEmbed)->size(), 36U * 4) << path.name();
    EXPECT_EQ(driven->find(kQuery)->size(), 36U * 8);
    EXPECT_EQ(driven->find(kSoft)->size(), 3U * 4);
    EXPECT_EQ(driven->find({Tap::embed, -1})->size(), 6U * 4);
    EXPECT_EQ(driven->taps.front().first, kEmbed) << "in causal order";
    EXPECT_EQ((*driven->find(kSoft))[5], fake::value(kSoft, 1, 1, 1));
  }
}

TEST(Media, NothingToEncodeIsNoTap) {
  CaseInputs in = inputs({1, kImage, 2});
  in.more.clear();
  fake::FakeSession session(seeing());
  const auto driven = drive(session, in, {.taps = {kEmbed, {Tap::embed, -1}}});
  ASSERT_TRUE(driven) << driven.error().message();
  EXPECT_EQ(driven->find(kEmbed), nullptr);
  EXPECT_EQ(driven->taps.size(), 1U);
}

TEST(Media, PlaceholdersMustFitTheWholePrompt) {
  const auto refused = [](const CaseInputs& in, Path path) {
    fake::FakeSession session(seeing());
    const auto driven = drive(session, in, {.path = path, .taps = {}});
    return driven ? std::string() : driven.error().message();
  };
  for (const Path path : {Path{Path::prefill}, Path{Path::chunked, 2}}) {
    EXPECT_THAT(refused(inputs({1, kImage, 2, kImage}), path), HasSubstr("expected 3 image placeholders"));
    EXPECT_THAT(refused(inputs({kImage, kImage, kImage, kImage}), path), HasSubstr("found 4"));
    EXPECT_EQ(refused(inputs({kImage, kImage, kImage, 2}), path), "");
  }
  EXPECT_EQ(refused(inputs({1, kImage, kImage, 2, kImage, 2}, 2), {Path::batched}), "");
  EXPECT_THAT(refused(inputs({1, kImage, kImage, 2, kImage, 2}, 2), {Path::chunked, 2}), HasSubstr("input_ids"))
      << "media in a batch come in one call";
}

struct Judging {
  Plan plan = seeing();
  CaseInputs in = inputs({1, kImage, 2, kImage, kImage, 3});
  CaseView view() const {
    return {.plan = plan,
            .batch = in.batch,
            .tokens = in.tokens,
            .mask = in.mask,
            .positions = in.positions,
            .media = media_rows(plan, in.more).value(),
            .taps = {},
            .arithmetic = "fp32"};
  }
  std::vector<float> correct(TapId id) const {
    fake::FakeSession session(plan);
    return *drive(session, in, {.taps = {id}})->find(id);
  }
};

TEST(JudgeMedia, ComparesTheRowsThatTheGoldenKeeps) {
  const Judging j;
  std::vector<float> values = j.correct(kQuery);
  GoldenTap golden{.id = kQuery, .shape = {2, 2, 4}, .rows = {4, 20}, .values = {}};
  for (const std::size_t row : {4, 20})
    golden.values.insert(golden.values.end(), values.begin() + std::ptrdiff_t(8 * row),
                         values.begin() + std::ptrdiff_t(8 * row + 8));
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::pass);
  values[8 * 5] += 1;
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::pass) << "row 5 is not kept";
  values[8 * 20 + 6] += 1;
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(1, 2, 1, 2)) << "image 1, patch 2, head 1, lane 2";
  EXPECT_THAT(result.shape, ElementsAre(2, 18, 2, 4));
  EXPECT_EQ(vacuous(j.view(), golden), "");
  values.pop_back();
  EXPECT_EQ(judge_tap(j.view(), golden, values).verdict, Verdict::fail_shape);
  golden.rows = {4, 36};
  EXPECT_EQ(judge_tap(j.view(), golden, j.correct(kQuery)).verdict, Verdict::fail_shape) << "there are 36 patches";
}

TEST(JudgeMedia, ComparesAllSoftTokens) {
  const Judging j;
  std::vector<float> values = j.correct(kSoft);
  const GoldenTap golden{.id = kSoft, .shape = {3, 4}, .rows = {}, .values = values};
  values[9] += 1;
  const TapResult result = judge_tap(j.view(), golden, values);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.worst, ElementsAre(2, 1));
  EXPECT_THAT(result.shape, ElementsAre(3, 4));
}

}  // namespace
}  // namespace assay
