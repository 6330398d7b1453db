// Laying a bent oracle's pieces beside an engine's: what is explained, what is not, who comes first.
#include "harness/locate/hypotheses.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

Piece piece(const char* name, int order, std::vector<float> expected, std::vector<float> actual) {
  const ErrorStats stats = expected.size() == actual.size() ? compare(expected, actual, fp32_engine()) : ErrorStats{};
  const bool wrong = expected.size() != actual.size() || !stats.passed();
  return {.name = name,
          .order = order,
          .expected = std::move(expected),
          .actual = std::move(actual),
          .tolerance = fp32_engine(),
          .wrong = wrong};
}

std::vector<Piece> engine() {
  return {piece("a", 1, {1, 2}, {1, 2}), piece("b", 2, {1, 2}, {1, 3}), piece("c", 3, {4, 5}, {4, 7})};
}

TEST(Score, CountsWrongPiecesThatASuspectGives) {
  const std::vector<Piece> suspect = {piece("a", 1, {}, {1, 2}), piece("b", 2, {}, {1, 3}), piece("c", 3, {}, {4, 7})};
  const auto found = score(engine(), suspect);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->wrong, 2);
  EXPECT_EQ(found->explained, 2);
  EXPECT_EQ(found->reach, 3);
  EXPECT_NEAR(found->before, std::sqrt(1.0 / 5), 1e-6) << "of 1 in (1, 2)";
  EXPECT_EQ(found->after, 0);
}

TEST(Score, EndsWhereAnotherFaultBegins) {
  const std::vector<Piece> suspect = {piece("a", 1, {}, {1, 2}), piece("b", 2, {}, {1, 3}), piece("c", 3, {}, {4, 9})};
  const auto found = score(engine(), suspect);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->explained, 1);
  EXPECT_EQ(found->reach, 2);
}

TEST(Score, ASuspectThatIsWrongTooEarlyOrChangesNothingIsNoExplanation) {
  const std::vector<Piece> early = {piece("a", 1, {}, {1, 9}), piece("b", 2, {}, {1, 3}), piece("c", 3, {}, {4, 7})};
  EXPECT_FALSE(score(engine(), early));
  const std::vector<Piece> nothing = {piece("a", 1, {}, {1, 2}), piece("b", 2, {}, {1, 2}), piece("c", 3, {}, {4, 5})};
  EXPECT_FALSE(score(engine(), nothing));
}

TEST(Score, APieceWithTwoFaultsInItIsPartOfBoth) {
  const std::vector<Piece> part = {piece("a", 1, {}, {1, 2}), piece("b", 2, {}, {1, 2.8F}), piece("c", 3, {}, {4, 7})};
  const auto found = score(engine(), part);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->explained, 0);
  EXPECT_LT(found->after, found->before);
}

TEST(Score, ValuesThatAreNotFiniteAgreeWithEachOther) {
  const float nan = NAN;
  const std::vector<Piece> seen = {piece("a", 1, {1, 2}, {1, nan})};
  EXPECT_TRUE(score(seen, std::vector<Piece>{piece("a", 1, {}, {1, nan})}));
  EXPECT_FALSE(score(seen, std::vector<Piece>{piece("a", 1, {}, {1, 2})}));
}

TEST(Score, AMisshapenTapIsExplainedByOne) {
  const std::vector<Piece> seen = {piece("a", 1, {1, 2}, {})};
  const auto found = score(seen, std::vector<Piece>{piece("a", 1, {1, 2}, {})});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->explained, 1);
  EXPECT_FALSE(score(seen, std::vector<Piece>{piece("a", 1, {1, 2}, {1, 2})}));
}

TEST(Birth, LiesBetweenTwoPieces) {
  const auto found = birth(engine());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->after, 1);
  EXPECT_EQ(found->first, 2);
  EXPECT_FALSE(birth(std::vector<Piece>{piece("a", 1, {1}, {1})}));
}

TEST(Rank, PutsFirstWhatExplainsMostAndMarksEquals) {
  const auto one = [](const char* name, int explained, double left, const char* shipped) {
    return Hypothesis{.fault = name, .shipped_in = shipped, .explained = explained, .wrong = 5, .left = left};
  };
  std::vector<Hypothesis> all = {one("some", 3, 0, ""), one("most", 5, 0.02, ""), one("shipped", 5, 0.03, "a/b#1"),
                                 one("loose", 5, 0.9, "")};
  rank(all);
  EXPECT_EQ(all[0].fault, "shipped") << "as good as the best, and somebody shipped it";
  EXPECT_TRUE(all[0].tied);
  EXPECT_EQ(all[1].fault, "most");
  EXPECT_TRUE(all[1].tied);
  EXPECT_EQ(all[2].fault, "loose");
  EXPECT_FALSE(all[2].tied);
  EXPECT_EQ(all[3].fault, "some");
}

TEST(Links, AreOfIssues) {
  EXPECT_THAT(links(*find_fault("value-after-rope")),
              testing::ElementsAre("https://github.com/ml-explore/mlx-swift-lm/issues/300",
                                   "https://github.com/NVIDIA-NeMo/Megatron-Bridge/issues/4683"));
  EXPECT_TRUE(links(*find_fault("value-is-key-everywhere")).empty());
}

}  // namespace
}  // namespace assay
