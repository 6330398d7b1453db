// Roofs: what is implausible is said. How high they are is no test's business.
#include "harness/kernel/roofs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Roofs roofs(double read, double fp32, double bf16, double int8) {
  Roofs all{.threads = 2, .all = {}};
  for (const auto& [name, rate] :
       {std::pair("read", read), std::pair("fp32", fp32), std::pair("bf16", bf16), std::pair("int8", int8)})
    if (rate > 0) all.all.push_back({.name = name, .kernel = "k", .amount = rate, .seconds = {1}});
  return all;
}

TEST(Doubts, NoneAboutAMachineThatCouldBe) {
  EXPECT_THAT(doubts(roofs(40e9, 469e9, 890e9, 1930e9), 2, 4.1e9), IsEmpty());
  EXPECT_THAT(doubts(roofs(40e9, 469e9, 400e9, 450e9), 2, 0), IsEmpty()) << "no dot instructions";
}

TEST(Doubts, NameWhatCannotBe) {
  EXPECT_THAT(doubts(roofs(40e9, 0, 890e9, 1930e9), 2, 4e9), ElementsAre(HasSubstr("fp32 was not measured")));
  EXPECT_THAT(doubts(roofs(40e9, 469e9, 300e9, 1930e9), 2, 4e9), ElementsAre(HasSubstr("bf16")));
  EXPECT_THAT(doubts(roofs(40e9, 900e9, 900e9, 1930e9), 2, 4e9), ElementsAre(HasSubstr("more than 2 cores")));
  EXPECT_THAT(doubts(roofs(40e9, 469e9, 890e9, 5e12), 2, 4e9), ElementsAre(HasSubstr("int8")));
  EXPECT_THAT(doubts(roofs(5e12, 469e9, 890e9, 1930e9), 2, 4e9), ElementsAre(HasSubstr("read of")));
  EXPECT_THAT(doubts(roofs(1e6, 469e9, 890e9, 1930e9), 2, 4e9), ElementsAre(HasSubstr("read of")));
}

TEST(RoofMeter, TakesASampleOfEachAndComputesWhatItsSpecSays) {
  auto meter = RoofMeter::make(2, std::vector<std::string>{"fp32", "int8"});
  ASSERT_TRUE(meter) << meter.error().message();
  meter->sample();
  meter->sample();
  ASSERT_EQ(meter->roofs().all.size(), 2U);
  for (const Roof& roof : meter->roofs().all) {
    EXPECT_EQ(roof.seconds.size(), 2U);
    EXPECT_GT(roof.per_second(), 0);
  }
  EXPECT_TRUE(meter->right());
}

TEST(RoofMeter, KnowsItsNames) {
  const auto meter = RoofMeter::make(1, std::vector<std::string>{"fp64"});
  ASSERT_FALSE(meter);
  EXPECT_THAT(meter.error().message(), HasSubstr("fp64"));
}

}  // namespace
}  // namespace assay
