// A baseline: only what got worse fails.
#include "harness/verify/baseline.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

PathResult result(Verdict verdict, double ratio = 0.25) {
  PathResult out;
  out.engine = "cpu";
  out.golden = "e2b";
  out.case_name = "short";
  out.path = "decode";
  out.verdict = verdict;
  out.taps.emplace_back();
  out.taps[0].stats.count = 1;
  out.taps[0].stats.worst_ratio = ratio;
  return out;
}

Run run_of(PathResult one) { return {.version = "1", .results = {std::move(one)}}; }

PathResult after(Verdict before, Verdict now) {
  PathResult one = result(now);
  apply_baseline(std::span(&one, 1), run_of(result(before)));
  return one;
}

TEST(Baseline, WhatPassedMustPass) {
  for (const Verdict now : {Verdict::fail_numeric, Verdict::fail_shape, Verdict::fail_nan, Verdict::crash,
                            Verdict::timeout, Verdict::unsupported, Verdict::no_golden}) {
    const PathResult one = after(Verdict::pass, now);
    EXPECT_EQ(one.standing, Standing::worse) << name_of(now);
    EXPECT_TRUE(fails(one)) << name_of(now);
  }
}

TEST(Baseline, WhatFailedMayFail) {
  const PathResult one = after(Verdict::fail_numeric, Verdict::crash);
  EXPECT_EQ(one.standing, Standing::as_before);
  EXPECT_EQ(one.because, "fail-numeric in the baseline");
  EXPECT_FALSE(fails(one));
  EXPECT_EQ(after(Verdict::crash, Verdict::pass).standing, Standing::judged);
}

TEST(Baseline, WhatItCouldNotJudgeIsJudged) {
  for (const Verdict before : {Verdict::unsupported, Verdict::no_golden}) {
    EXPECT_EQ(after(before, Verdict::fail_numeric).standing, Standing::judged);
    EXPECT_EQ(after(before, Verdict::unsupported).standing, Standing::judged);
  }
}

TEST(Baseline, WhatItLacksIsJudged) {
  for (std::string PathResult::*part :
       {&PathResult::engine, &PathResult::golden, &PathResult::case_name, &PathResult::path}) {
    PathResult one = result(Verdict::fail_numeric);
    one.*part += "2";
    apply_baseline(std::span(&one, 1), run_of(result(Verdict::fail_numeric)));
    EXPECT_EQ(one.standing, Standing::judged);
  }
}

TEST(Baseline, TellsTheBudgetOfBothThatPassed) {
  PathResult one = result(Verdict::pass, 0.5);
  apply_baseline(std::span(&one, 1), run_of(result(Verdict::pass, 0.125)));
  EXPECT_EQ(one.budget_before, 0.125);
  EXPECT_EQ(after(Verdict::crash, Verdict::pass).budget_before, std::nullopt);
}

TEST(Baseline, AKnownFailureStaysOne) {
  PathResult one = result(Verdict::crash);
  one.standing = Standing::known;
  apply_baseline(std::span(&one, 1), run_of(result(Verdict::pass)));
  EXPECT_EQ(one.standing, Standing::known);
}

}  // namespace
}  // namespace assay
