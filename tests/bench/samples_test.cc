#include "reports/samples.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Samples, MedianIsTheMiddleAndTheMeanOfTwo) {
  EXPECT_EQ(median({}), 0);
  EXPECT_EQ(median(std::vector<double>{7}), 7);
  EXPECT_EQ(median(std::vector<double>{9, 1, 5}), 5);
  EXPECT_EQ(median(std::vector<double>{4, 1, 100, 2}), 3);
}

TEST(Samples, OneInterruptionDoesNotMoveTheSpread) {
  EXPECT_EQ(mad(std::vector<double>{10, 11, 12, 13, 14}), 1);
  EXPECT_EQ(mad(std::vector<double>{10, 11, 12, 13, 1000}), 1);
  EXPECT_EQ(mad(std::vector<double>{3, 3, 3}), 0);
  EXPECT_EQ(mad({}), 0);
}

TEST(Samples, SettledComparesTheLastWithThoseBefore) {
  EXPECT_FALSE(settled(std::vector<double>{1, 1, 1}, 2, 0.05));  // too few
  EXPECT_FALSE(settled(std::vector<double>{2, 2, 1, 1}, 2, 0.05));
  EXPECT_TRUE(settled(std::vector<double>{9, 5, 1.02, 1.01, 1, 1}, 2, 0.05));
  EXPECT_FALSE(settled(std::vector<double>{1, 1, 1, 1.2, 1.2, 1.2}, 3, 0.05));
  EXPECT_FALSE(settled(std::vector<double>{1, 1}, 0, 0.05));
}

}  // namespace
}  // namespace assay
