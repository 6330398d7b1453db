// What is asked of one trial shares its suspects, and asking in another order changes no answer.
#include "harness/locate/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

Trial trial(const std::string& golden = "e2b-blocks", const std::string& case_name = "beyond-window") {
  const GoldenEntry entry{
      .name = golden, .file = kData / golden / "golden.h5", .checkpoint = kData / golden / "checkpoint"};
  return Trial::open(entry, case_name, {}).value();
}

std::vector<std::string> names(Trial& trial, std::vector<const char*> bent) {
  std::vector<const Fault*> faults;
  faults.reserve(bent.size());
  for (const char* name : bent) faults.push_back(find_fault(name));
  const auto found = trial.hypotheses(faults);
  EXPECT_TRUE(found.has_value() && found->has_value());
  std::vector<std::string> out;
  for (const Hypothesis& one : **found) out.push_back(one.fault);
  return out;
}

TEST(Trial, RunsASuspectOnce) {
  Trial shared = trial();
  const auto alone = names(shared, {"ple-context-missing"});
  ASSERT_FALSE(alone.empty());
  EXPECT_EQ(alone.front(), "ple-context-missing");
  names(shared, {"ple-context-missing",
                 "softcap-missing"});  // what explains one of the two is not all: those before are tried too
  const int run = shared.suspects_run();
  EXPECT_GT(run, 1);
  EXPECT_EQ(names(shared, {"ple-context-missing"}), alone);
  EXPECT_EQ(shared.suspects_run(), run);
}

TEST(Trial, SaysWhatAFreshOneSays) {
  Trial shared = trial(), fresh = trial();
  names(shared, {"rope-global-short"});
  EXPECT_EQ(names(shared, {"ple-context-missing", "softcap-missing"}),
            names(fresh, {"ple-context-missing", "softcap-missing"}));
}

TEST(Trial, HasNothingToSayOfWhatAnEngineMayDo) {
  Trial one = trial();
  const Fault* const control = find_fault("none");
  const auto found = one.hypotheses({&control, 1});
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
}

TEST(Trial, NamesTwoOnOneTapTogether) {
  Trial one = trial("e2b-tails", "at-window-plus-one");
  const std::vector<const Fault*> both = {find_fault("rope-global-short"), find_fault("rope-global-denominator")};
  const auto found = one.hypotheses(both);
  ASSERT_TRUE(found.has_value() && found->has_value());
  ASSERT_FALSE((*found)->empty()) << "neither explains the tap by itself";
  EXPECT_EQ((*found)->front().fault, "rope-global-short");
  EXPECT_THAT((*found)->front().with, testing::ElementsAre("rope-global-denominator"));
}

TEST(Trial, BendsTwoInTheOrderInWhichBothBend) {
  Trial one = trial("e2b-tails", "at-window-plus-one");
  // With every layer's kind moved first, no layer is left whose frequencies could be too few.
  const std::vector<const Fault*> both = {find_fault("layer-pattern-5-to-1"), find_fault("rope-global-short")};
  const auto found = one.hypotheses(both);
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->has_value());
}

}  // namespace
}  // namespace assay
