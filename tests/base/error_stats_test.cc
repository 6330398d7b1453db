#include "base/error_stats.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace assay {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Values = std::vector<float>;

TEST(ErrorStats, EqualValuesPassAtNoTolerance) {
  const Values x = {0, -1.5F, kInf};
  const ErrorStats stats = compare(x, x, {});
  EXPECT_TRUE(stats.passed());
  EXPECT_EQ(stats.max_abs, 0);
  EXPECT_EQ(stats.count, 3U);
}

TEST(ErrorStats, NamesTheWorstValueNotTheFirst) {
  const ErrorStats stats = compare(Values{1, 2, 3}, Values{1.1F, 2.5F, 3}, {.atol = 0.2, .rtol = 0});
  EXPECT_EQ(stats.mismatches, 1U);
  EXPECT_EQ(stats.worst, 1U);
  EXPECT_EQ(stats.expected, 2);
  EXPECT_EQ(stats.actual, 2.5F);
  EXPECT_NEAR(stats.worst_ratio, 2.5, 1e-6);
  EXPECT_NEAR(stats.max_abs, 0.5, 1e-7);
  EXPECT_NEAR(stats.max_rel, 0.25, 1e-7);
}

TEST(ErrorStats, AllowsRelativeToTheExpected) {
  EXPECT_TRUE(compare(Values{100}, Values{100.5F}, {.atol = 0, .rtol = 0.01}).passed());
  EXPECT_FALSE(compare(Values{100}, Values{101.5F}, {.atol = 0, .rtol = 0.01}).passed());
}

TEST(ErrorStats, CountsWhatIsNotFinite) {
  const ErrorStats stats = compare(Values{1, 2, 3}, Values{1, kNan, kInf}, {.atol = 1e9, .rtol = 0});
  EXPECT_EQ(stats.not_finite, 2U);
  EXPECT_EQ(stats.worst, 1U);
  EXPECT_FALSE(stats.passed());
}

TEST(ErrorStats, AFiniteValueForAnInfinityIsAMismatch) {
  EXPECT_FALSE(compare(Values{kInf}, Values{1}, {.atol = 1, .rtol = 1}).passed());
}

TEST(ErrorStats, SumsOverTheWholeTensor) {
  const ErrorStats stats = compare(Values{3, 4}, Values{4, 3}, {.atol = 2, .rtol = 0});
  EXPECT_NEAR(stats.rms, 1, 1e-12);
  EXPECT_NEAR(stats.nmse, 2.0 / 25, 1e-12);
  EXPECT_NEAR(stats.cosine, 24.0 / 25, 1e-12);
}

TEST(ErrorStats, ZerosHaveNoAngle) {
  EXPECT_EQ(compare(Values{0, 0}, Values{0, 0}, {}).cosine, 1);
  EXPECT_EQ(compare(Values{1, 0}, Values{0, 0}, {}).cosine, 0);
  EXPECT_EQ(compare(Values{0}, Values{1}, {}).nmse, kInf);
}

TEST(UlpDistance, CountsRepresentableSteps) {
  EXPECT_EQ(ulp_distance(1, std::nextafter(1.0F, 2.0F)), 1);
  EXPECT_EQ(ulp_distance(-0.0F, 0.0F), 0);
  EXPECT_EQ(ulp_distance(std::nextafter(0.0F, -1.0F), std::nextafter(0.0F, 1.0F)), 2);
  EXPECT_EQ(ulp_distance(kNan, 1), std::numeric_limits<std::int64_t>::max());
}

}  // namespace
}  // namespace assay
