#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/faults/bend.h"
#include "harness/faults/run.h"

namespace assay {
namespace {

const std::filesystem::path kSource = ASSAY_SOURCE_DIR;

GoldenEntry golden(const std::string& name) {
  const std::filesystem::path folder = kSource / "golden/data" / name;
  return {.name = name, .file = folder / "golden.h5", .checkpoint = folder / "checkpoint"};
}

TEST(Catalogue, NamesAreUniqueAndSayWhat) {
  std::set<std::string_view> names;
  for (const Fault& fault : faults()) {
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_FALSE(fault.what.empty()) << fault.name;
    EXPECT_TRUE(fault.what.ends_with('.')) << fault.name;
    EXPECT_TRUE(fault.row == "x" || fault.row == "-" || !fault.shipped_in.empty()) << fault.name;
    EXPECT_EQ(find_fault(fault.name), &fault);
  }
  EXPECT_EQ(find_fault("no-such-fault"), nullptr);
}

TEST(Catalogue, HoldsEveryTextRowOfThePage) {
  std::set<std::string_view> rows;
  for (const Fault& fault : faults()) rows.insert(fault.row);
  for (const char* row :
       {"A1",  "A2",  "A4",  "A5",  "A6",  "A7", "A8", "A9", "A10", "A11", "A12", "A13", "A14", "A15", "A16",
        "A18", "A19", "A21", "A22", "A23", "B1", "B2", "B3", "B5",  "B7",  "B8",  "B9",  "B11", "B12", "B14",
        "B15", "B16", "B17", "C1",  "C2",  "C3", "C4", "C6", "C7",  "I1",  "I2",  "I3",  "I5",  "I6",  "I7"})
    EXPECT_TRUE(rows.contains(row)) << row;
}

TEST(Catalogue, HoldsEveryRowOfTowersAndMerging) {
  std::set<std::string_view> rows;
  for (const Fault& fault : faults()) rows.insert(fault.row);
  for (const char* row : {"B18", "D1", "D2", "D3", "D4",  "D5",  "D9",  "D10", "D11", "D12", "D13",
                          "D14", "E5", "E8", "E9", "E11", "E12", "E13", "F2",  "F4",  "F6",  "K5"})
    EXPECT_TRUE(rows.contains(row)) << row;
}

TEST(Catalogue, ThePageIsUpToDate) {
  std::stringstream page;
  page << std::ifstream(kSource / "docs/FAULTS.md").rdbuf();
  EXPECT_EQ(page.str(), catalogue_markdown()) << "run: ./assay faults list --markdown > docs/FAULTS.md";
}

TEST(RunFault, FindsAFaultWhereItIsBorn) {
  const auto seen = run_fault(*find_fault("rope-global-short"), golden("e2b-tails"));
  ASSERT_TRUE(seen) << seen.error().message();
  ASSERT_EQ(seen->size(), 1U);
  EXPECT_EQ(seen->front().place, Sighting::exact);
  EXPECT_EQ(seen->front().first, "text.layer.04.attn.q_rope");
  EXPECT_GT(seen->front().ratio, 100);
}

TEST(RunFault, FindsNothingWhereNothingIsBent) {
  const auto seen = run_fault(*find_fault("none"), golden("headless"));
  ASSERT_TRUE(seen) << seen.error().message();
  ASSERT_EQ(seen->size(), 1U);
  EXPECT_EQ(seen->front().place, Sighting::unseen);
  EXPECT_LT(seen->front().ratio, 1);
}

TEST(RunFault, LeavesOutModelsThatHaveNothingToBend) {
  const auto seen = run_fault(*find_fault("experts-ignored"), golden("e2b-blocks"));
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_TRUE(seen->empty());
}

TEST(FaultOutcome, IsRightOnlyWhenDetectedAndPlaced) {
  const auto outcome = [](std::vector<Sighting::Place> places, bool control) {
    FaultOutcome result{.fault = "f", .control = control};
    for (const Sighting::Place place : places) result.sightings.push_back({.place = place});
    return result;
  };
  EXPECT_TRUE(outcome({Sighting::exact, Sighting::unseen}, false).as_it_should());
  EXPECT_TRUE(outcome({Sighting::right_after}, false).as_it_should());
  EXPECT_FALSE(outcome({Sighting::unseen}, false).as_it_should());
  EXPECT_FALSE(outcome({Sighting::exact, Sighting::elsewhere}, false).as_it_should());
  EXPECT_FALSE(outcome({Sighting::generating}, false).as_it_should());
  EXPECT_TRUE(outcome({Sighting::unseen}, true).as_it_should());
  EXPECT_FALSE(outcome({Sighting::exact}, true).as_it_should());
  EXPECT_FALSE(outcome({}, false).as_it_should());
}

TEST(Bend, RoundsThroughNarrowFormats) {
  EXPECT_EQ(bend::through_bf16(257), 256);
  EXPECT_EQ(bend::through_f16(1 + 0x1p-12F), 1);
  EXPECT_TRUE(std::isinf(bend::through_f16(70000)));
  EXPECT_EQ(bend::through_f16(0x1p-24F), 0x1p-24F);
  std::vector<float> row = {7, 3.4F, -0.4F};
  bend::through_blocks(row, 7);
  EXPECT_THAT(row, testing::ElementsAre(7, 3, 0));
}

}  // namespace
}  // namespace assay
