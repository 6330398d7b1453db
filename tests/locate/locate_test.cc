// locate on engines with known faults: the reference bent, the reference with few taps, one that crashes.
#include "harness/locate/locate.h"

#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/engines/engines.h"

namespace assay {
namespace {

using testing::HasSubstr;

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

Located found(const Engine& engine, const Selection& selection, bool hypotheses = true) {
  auto subjects = open_goldens(kData, selection).value();
  return locate(engine, subjects, {.selection = selection, .hypotheses = hypotheses}).value();
}
Selection on(const std::string& golden, const std::string& filter = "", const std::string& path = "prefill") {
  return {.goldens = {golden}, .paths = {path}, .filter = filter};
}

TEST(Locate, NamesTheTapTheOpAndTheFault) {
  const Located result = found(make_engine("reference+fault=rope-global-short").value(), on("e2b-tails", "/short/"));
  ASSERT_TRUE(result.location);
  const Location& location = *result.location;
  EXPECT_EQ(location.first, "text.layer.04.attn.q_rope");
  EXPECT_EQ(location.before, "text.layer.04.attn.q");
  EXPECT_EQ(location.born, "text.layer.04.attn.q_rope");
  ASSERT_FALSE(location.hypotheses.empty());
  EXPECT_EQ(location.hypotheses.front().fault, "rope-global-short");
  EXPECT_EQ(location.hypotheses.front().explained, location.hypotheses.front().wrong);
  EXPECT_GT(location.hypotheses.front().before, 0.1);
  EXPECT_LT(location.hypotheses.front().after, 1e-5);
  EXPECT_THAT(location.rerun_op,
              HasSubstr("./assay locate --engine reference+fault=rope-global-short --golden e2b-tails"));
  EXPECT_THAT(location.rerun_op, HasSubstr("--op text.layer.04.attn.q_rope"));
}

TEST(Locate, GivesTheIntervalWhereAnEngineOffersFewTaps) {
  Engine engine = make_engine("reference+fault=rope-global-short").value();
  engine.can.taps = {"text.layer.*.out"};
  engine.can.step = false;
  const Located result = found(engine, on("e2b-blocks", "/short/"));
  ASSERT_TRUE(result.location);
  EXPECT_EQ(result.location->before, "text.layer.02.out");
  EXPECT_EQ(result.location->first, "text.layer.03.out");
  EXPECT_EQ(result.location->born, "");
  EXPECT_THAT(result.location->forced_note, HasSubstr("no step"));
  EXPECT_EQ(result.location->rerun_op, "");
  ASSERT_FALSE(result.location->hypotheses.empty());
  EXPECT_EQ(result.location->hypotheses.front().fault, "rope-global-short");
}

TEST(Locate, NamesAFaultFromLogitsAlone) {
  Engine engine = make_engine("reference+fault=gelu-erf").value();
  engine.can.taps = {};
  engine.can.step = false;
  const Located result = found(engine, on("e2b-blocks", "/short/"));
  ASSERT_TRUE(result.location);
  EXPECT_EQ(result.location->before, "");
  EXPECT_EQ(result.location->first, "text.logits");
  ASSERT_FALSE(result.location->hypotheses.empty());
  EXPECT_EQ(result.location->hypotheses.front().fault, "gelu-erf");
}

TEST(Locate, OtherCasesTellApartWhatTheFirstCannot) {
  // One key past the window, and every key: the same where a prompt is one longer than the window.
  const Located result =
      found(make_engine("reference+fault=window-missing").value(), on("e2b-tails", "/at-window-plus-one/"));
  ASSERT_TRUE(result.location);
  ASSERT_GT(result.location->hypotheses.size(), 1U);
  EXPECT_EQ(result.location->hypotheses[0].fault, "window-missing");
  EXPECT_EQ(result.location->hypotheses[1].fault, "window-one-too-wide");
  EXPECT_FALSE(result.location->hypotheses[1].tied);
}

TEST(Locate, TwoBugsAreNamedTogether) {
  const Located result = found(make_engine("reference+fault=gelu-erf+fault=softcap-missing").value(),
                               on("e2b-tails", "/at-window-plus-one/"));
  ASSERT_TRUE(result.location);
  ASSERT_GT(result.location->hypotheses.size(), 1U);
  const Hypothesis& both = result.location->hypotheses[0];
  EXPECT_EQ(both.fault, "gelu-erf");
  EXPECT_THAT(both.with, testing::ElementsAre("softcap-missing"));
  EXPECT_EQ(both.explained, both.wrong);
  const auto alone = std::ranges::find_if(
      result.location->hypotheses, [](const Hypothesis& one) { return one.fault == "gelu-erf" && one.with.empty(); });
  ASSERT_NE(alone, result.location->hypotheses.end());
  EXPECT_EQ(alone->until, "text.logits");
}

TEST(Locate, AFaultBetweenCallsIsBornInNoOp) {
  const Located result = found(make_engine("reference+fault=cached-positions-restart").value(),
                               on("e2b-tails", "/at-window-plus-one/", "decode"));
  ASSERT_TRUE(result.location);
  EXPECT_EQ(result.location->first, "text.layer.00.attn.q_rope");
  EXPECT_EQ(result.location->born, "");
  EXPECT_FALSE(result.location->forced.empty());
  EXPECT_EQ(result.location->hypotheses.front().fault, "cached-positions-restart");
}

TEST(Locate, ADrafterIsLocatedBesideItsTarget) {
  const Located result = found(make_engine("reference+fault=draft-softcap").value(), on("e2b-draft", "", "draft"));
  ASSERT_TRUE(result.location);
  EXPECT_EQ(result.location->first, "assistant.logits");
  ASSERT_FALSE(result.location->hypotheses.empty());
  EXPECT_EQ(result.location->hypotheses.front().fault, "draft-softcap");
}

TEST(Locate, WhatIsRightIsNotLocated) {
  const Located result = found(make_engine("reference").value(), on("e2b-blocks"));
  EXPECT_FALSE(result.location);
  EXPECT_EQ(result.passed, 2);
}

TEST(Locate, ACrashIsAVerdictAndNoTap) {
  Engine engine = make_engine("reference").value();
  engine.open = [](const Checkpoint&) -> Result<std::unique_ptr<Session>> {
    std::raise(SIGSEGV);
    return fail({Failure::internal, "", "", "", ""});
  };
  const Located result = found(engine, on("e2b-blocks", "/short/"));
  ASSERT_TRUE(result.location);
  EXPECT_EQ(result.location->path.verdict, Verdict::crash);
  EXPECT_EQ(result.location->first, "");
  EXPECT_TRUE(result.location->hypotheses.empty());
}

TEST(LocateOp, RunsOneOpOnTransformersInputs) {
  const Selection selection = on("e2b-blocks", "/short/");
  const auto subjects = open_goldens(kData, selection).value();
  const std::chrono::seconds timeout(60);
  const auto step = [&](const char* engine, const char* tap) {
    return locate_op(make_engine(engine).value(), subjects, selection, tap, timeout);
  };
  const auto bent = step("reference+fault=gelu-erf", "text.layer.00.mlp");
  ASSERT_TRUE(bent) << bent.error().message();
  EXPECT_EQ(bent->verdict, Verdict::fail_numeric);
  EXPECT_THAT(bent->rerun, HasSubstr("--op text.layer.00.mlp"));
  const auto echo = step("reference+fault=gelu-erf", "text.layer.01.attn.q");
  ASSERT_TRUE(echo) << echo.error().message();
  EXPECT_EQ(echo->verdict, Verdict::pass);
  EXPECT_EQ(step("cpu", "text.layer.00.mlp").error().kind, Failure::unsupported);
  EXPECT_EQ(step("reference", "text.layer.99.mlp").error().kind, Failure::bad_input);
  EXPECT_EQ(step("reference", "nothing").error().kind, Failure::bad_input);
}

}  // namespace
}  // namespace assay
