// Faults and pairs of them are called by their names; twins are called tied.
#include "harness/locate/name_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

FaultGoldens goldens(const std::string& name) {
  return {.models = {{.name = name, .file = kData / name / "golden.h5", .checkpoint = kData / name / "checkpoint"}},
          .front_end = FrontEndGolden::open(kData).value()};
}

std::vector<FaultOutcome> run(const std::vector<const char*>& names, const FaultGoldens& goldens) {
  std::vector<const Fault*> chosen;
  for (const char* name : names) chosen.push_back(find_fault(name));
  return run_faults(chosen, goldens, 0, {});
}

TEST(NameFaults, CallsFaultsByTheirNames) {
  const FaultGoldens on = goldens("e2b-blocks");
  const auto names =
      name_faults(run({"rope-global-short", "gelu-erf", "gelu-sigmoid", "layer-scalar-dropped", "none"}, on), on, {})
          .faults;
  ASSERT_EQ(names.size(), 4U) << "a control shows nowhere";
  for (const Naming& name : names) {
    EXPECT_EQ(name.place, Naming::first) << name.fault << ": " << name.best << name.error;
    EXPECT_EQ(name.best, name.fault);
    EXPECT_LT(name.left, 1) << "the engine's sums are rounded otherwise, no more";
    EXPECT_GT(name.left, 0) << "and they are";
  }
}

TEST(NameFaults, OfTheFrontEndToo) {
  const FaultGoldens on = goldens("e2b-blocks");
  std::vector<const Fault*> chosen;
  for (const Fault& fault : faults())
    if (fault.bend && !fault.control && chosen.size() < 3) chosen.push_back(&fault);
  const auto names = name_faults(run_faults(chosen, on, 0, {}), on, {}).faults;
  ASSERT_EQ(names.size(), 3U);
  for (const Naming& name : names) EXPECT_TRUE(name.named()) << name.fault << ": " << name.best << name.error;
}

TEST(NameFaults, TellsOfEachCaseAsSoonAsItIsDone) {
  const FaultGoldens on = goldens("e2b-blocks");
  const auto outcomes = run({"rope-global-short", "gelu-erf", "padding-seen"}, on);
  std::vector<std::string> heard;
  std::size_t cases = 0;
  const auto ended = [&](const Named& here, std::size_t done, std::size_t all) {
    EXPECT_EQ(done, ++cases);
    EXPECT_EQ(all, 2U) << "a batched one for the padding, another for what shows anywhere";
    for (const Naming& name : here.faults) {
      EXPECT_TRUE(name.named()) << name.fault;
      EXPECT_EQ(name.case_name, here.faults.front().case_name);
      heard.push_back(name.fault);
    }
    for (const PairNaming& pair : here.pairs) {
      EXPECT_TRUE(pair.named);
      heard.push_back("a pair");
    }
  };
  name_faults(outcomes, on, {.pairs = 1, .ended = ended});
  EXPECT_EQ(cases, 2U);
  EXPECT_THAT(heard, testing::UnorderedElementsAre("rope-global-short", "gelu-erf", "padding-seen", "a pair"));
}

TEST(NamePairs, AreDrawnBySeedAndOneIsNamed) {
  const FaultGoldens on = goldens("e2b-blocks");
  const auto outcomes = run({"rope-global-short", "gelu-erf", "softcap-missing"}, on);
  const NamingOptions three{.singly = false, .pairs = 3};
  const auto [names, pairs] = name_faults(outcomes, on, three);
  EXPECT_TRUE(names.empty()) << "nobody asked";
  ASSERT_EQ(pairs.size(), 3U);
  for (const PairNaming& pair : pairs) {
    EXPECT_NE(pair.faults[0], pair.faults[1]);
    EXPECT_TRUE(pair.named) << pair.faults[0] << " + " << pair.faults[1] << ": " << pair.best << pair.error;
  }
  const auto again = name_faults(outcomes, on, three).pairs;
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(again[i].faults[0], pairs[i].faults[0]);
}

}  // namespace
}  // namespace assay
