// locate of the front end: the stage, and the fault by what its stages give.
#include "harness/locate/front_end.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

TEST(LocateFrontEnd, NamesTheStageAndTheFault) {
  const FrontEndGolden golden = FrontEndGolden::open(kData).value();
  const Fault* bent = nullptr;
  for (const Fault& fault : faults())
    if (fault.stage == "image.resized" && !fault.control) bent = &fault;
  ASSERT_NE(bent, nullptr);
  const std::string spelt = "front-end+fault=" + std::string(bent->name);
  const auto found = locate_front_end(golden, spelt, {.selection = {.filter = "/image"}});
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_TRUE(found->location);
  const Location& location = *found->location;
  EXPECT_EQ(location.path.engine, spelt);
  EXPECT_THAT(location.first, testing::EndsWith(".resized"));
  EXPECT_EQ(location.born, location.first);
  ASSERT_FALSE(location.hypotheses.empty());
  const auto self = std::ranges::find(location.hypotheses, bent->name, &Hypothesis::fault);
  ASSERT_NE(self, location.hypotheses.end());
  EXPECT_TRUE(self->tied);
  EXPECT_THAT(location.rerun, testing::HasSubstr("./assay locate --engine " + spelt));
}

TEST(LocateFrontEnd, WhatIsRightIsNotLocated) {
  const FrontEndGolden golden = FrontEndGolden::open(kData).value();
  const auto found = locate_front_end(golden, "front-end", {.selection = {.filter = "/image-wide/"}});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_FALSE(found->location);
  EXPECT_EQ(found->passed, 1);
}

TEST(LocateFrontEnd, RefusesFaultsOfModels) {
  EXPECT_EQ(make_front_end("front-end+fault=gelu-erf").error().kind, Failure::bad_input);
  EXPECT_EQ(make_front_end("front-end+speed=11").error().kind, Failure::bad_input);
}

}  // namespace
}  // namespace assay
