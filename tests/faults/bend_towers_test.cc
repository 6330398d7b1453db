#include "harness/faults/bend_towers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::bend {
namespace {

using testing::ElementsAre;
using testing::Pointwise;

Grid grid(int rows, int cols, std::vector<float> values) {
  Grid g(rows, cols);
  g.values = std::move(values);
  return g;
}

TEST(Moved, TakesEachValueFromItsSource) {
  const Weight w = Weight::own(2, 3, {0, 1, 2, 3, 4, 5});
  const Weight reversed = moved(w, [](std::size_t r, std::size_t c) { return 5 - (3 * r + c); });
  EXPECT_THAT(reversed.floats(), ElementsAre(5, 4, 3, 2, 1, 0));
}

TEST(ClippedLinears, ForgetTheBoundsTheyAreNamedFor) {
  const ClippedWeight w{Weight::own(1, 2, {2, 1}), {-1, 1}, {-2, 2}};
  const Grid x = grid(1, 2, {3, 0.5F});
  const auto of = [&](Grid (*linear)(Rows<const float>, const ClippedWeight&)) {
    return linear(x.view(), w).values[0];
  };
  EXPECT_EQ(reference::clipped_linear(x.view(), w).values[0], 2);  // 2 * 1 + 0.5, cut
  EXPECT_EQ(of(clipped_in_fp32), 2);
  EXPECT_EQ(of(unclipped), 6.5F);
  EXPECT_EQ(of(clipped_before), 2.5F);
  EXPECT_EQ(of(clipped_behind), 2);
  EXPECT_EQ(of(clipped_crosswise), 1);  // 2 * 2 + 0.5, cut by the input's bounds
}

TEST(Norms, AreLeftOutByTheirWeightAlone) {
  Grid kept = grid(1, 2, {3, 4}), left_out = kept;
  const std::vector<float> one = {1, 2}, other = {2, 1};
  const auto norm = norm_but_of(one);
  norm(left_out.view(), one, 0);
  norm(kept.view(), other, 0);
  EXPECT_THAT(left_out.values, ElementsAre(3, 4));
  EXPECT_THAT(kept.values, Pointwise(testing::FloatNear(1e-6F), {2 * 3 / std::sqrt(12.5F), 4 / std::sqrt(12.5F)}));
}

TEST(RealRows, LeavePaddingOut) {
  const Frames frames{2, 2, {1, 0, 0, 1}};
  EXPECT_THAT(real_rows(frames, grid(4, 1, {1, 2, 3, 4}).view()).values, ElementsAre(1, 4));
}

class Merge : public testing::Test {
 protected:
  Merge() {
    parts_.plan.placeholders = {.image = 7, .video = 8, .audio = std::nullopt};
    soft_.kinds[SoftTokens::image] = {grid(3, 1, {1, 2, 3}), 0, true};
    soft_.kinds[SoftTokens::video] = {grid(1, 1, {10}), 0, true};
  }
  std::vector<float> merged(const std::vector<std::int64_t>& ids, const Pick& pick) {
    Grid embeds(int(ids.size()), 1);
    EXPECT_TRUE(merge_by(parts_, ids, soft_, embeds.view(), pick));
    return embeds.values;
  }
  Parts parts_;
  SoftTokens soft_;
};

TEST_F(Merge, GoesOnInTheNextCallAndRunsOutQuietly) {
  EXPECT_THAT(merged({7, 0, 8, 7}, pick_next), ElementsAre(1, 0, 10, 2));
  EXPECT_THAT(merged({7, 8, 7}, pick_next), ElementsAre(3, 0, 0));
}

TEST_F(Merge, TellsThePickKindNumberAndRow) {
  std::vector<std::vector<int>> asked;
  merged({8, 7, 7}, [&](SoftTokens&, std::size_t kind, int nth, int row) -> const float* {
    asked.push_back({int(kind), nth, row});
    return nullptr;
  });
  EXPECT_THAT(asked, ElementsAre(ElementsAre(0, 0, 1), ElementsAre(0, 1, 2), ElementsAre(1, 0, 0)));
}

}  // namespace
}  // namespace assay::bend
