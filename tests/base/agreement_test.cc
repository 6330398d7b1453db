// Logits as distributions: known divergences, and what is not finite.
#include "base/agreement.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Agreement, OfEqualLogitsIsWhole) {
  const std::vector<float> logits{1, 2, 3, -4, 0, 7};
  EXPECT_EQ(agreement(logits, logits, 3), (Agreement{.rows = 2, .same_top = 2}));
}

TEST(Agreement, AConstantChangesNothing) {
  const std::vector<float> logits{1, 2, 3}, higher{101, 102, 103};
  EXPECT_NEAR(agreement(logits, higher, 3).kl_most, 0, 1e-12);
}

TEST(Agreement, IsTheDivergenceOfKnownDistributions) {
  // 1/4, 3/4 against 1/2, 1/2; the second row is equal.
  const float third = std::log(3.0F);
  const std::vector<float> expected{0, third, 5, 5}, actual{0, 0, 5, 5};
  const Agreement a = agreement(expected, actual, 2);
  const double kl = 0.25 * std::log(0.25 / 0.5) + 0.75 * std::log(0.75 / 0.5);
  EXPECT_NEAR(a.kl_most, kl, 1e-7);
  EXPECT_NEAR(a.kl_mean, kl / 2, 1e-7);
  EXPECT_EQ(a.rows, 2U);
  EXPECT_EQ(a.same_top, 1U) << "the lowest index wins a tie, so the first row's top is another";
}

TEST(Agreement, TokensThatCannotComeCostNothing) {
  const float never = -std::numeric_limits<float>::infinity();
  const std::vector<float> expected{0, 0, never}, actual{0, 0, -30};
  EXPECT_NEAR(agreement(expected, actual, 3).kl_most, 0, 1e-12);
  EXPECT_EQ(agreement(actual, expected, 3).kl_most, std::numeric_limits<double>::infinity());
}

TEST(Agreement, IsNotANumberWhereALogitIsNot) {
  const std::vector<float> expected{0, 1}, actual{0, std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(agreement(expected, actual, 2).kl_most));
}

}  // namespace
}  // namespace assay
