// What is asked of one trial shares its suspects, and asking in another order changes no answer.
#include "harness/locate/trial.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

Trial trial() {
  const GoldenEntry entry{
      .name = "e2b-blocks", .file = kData / "e2b-blocks/golden.h5", .checkpoint = kData / "e2b-blocks/checkpoint"};
  return Trial::open(entry, "beyond-window", {}).value();
}

std::vector<std::string> names(Trial& trial, std::vector<const char*> bent) {
  std::vector<const Fault*> faults;
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

}  // namespace
}  // namespace assay
