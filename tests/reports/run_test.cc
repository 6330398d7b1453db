// Counts and exit codes.
#include "reports/run.h"

#include <gtest/gtest.h>

#include "reports/sample.h"
#include "reports/summary.h"

namespace assay {
namespace {

assay::Run with(const std::vector<Verdict>& verdicts) {
  assay::Run run;
  for (const Verdict verdict : verdicts) run.results.push_back(sample::path("e", "g", "prefill", verdict));
  return run;
}

TEST(Run, VerdictsReadBack) {
  for (int i = 0; i < 8; ++i) {
    const auto verdict = Verdict(i);
    ASSERT_FALSE(name_of(verdict).empty());
    EXPECT_EQ(parse_verdict(name_of(verdict)), verdict);
  }
  EXPECT_EQ(parse_verdict("passed"), std::nullopt);
}

TEST(Run, ExitCodesSayWhetherAnythingFailedOrWasJudgedAtAll) {
  EXPECT_EQ(exit_code(with({Verdict::pass, Verdict::unsupported})), 0);
  for (const Verdict verdict :
       {Verdict::fail_numeric, Verdict::fail_shape, Verdict::fail_nan, Verdict::crash, Verdict::timeout})
    EXPECT_EQ(exit_code(with({Verdict::pass, verdict})), 1) << name_of(verdict);
  EXPECT_EQ(exit_code(assay::Run{}), 3);
  EXPECT_EQ(exit_code(with({Verdict::unsupported, Verdict::no_golden})), 3);
  assay::Run run = with({Verdict::pass});
  run.unmet = {"something"};
  EXPECT_EQ(exit_code(run), 1);
}

TEST(Run, CountsByEngine) {
  const assay::Run run = sample::all_verdicts();
  EXPECT_EQ(count(run).failed, 5);
  EXPECT_EQ(count(run, "reference").passed, 1);
  EXPECT_EQ(count(run, "reference").failed, 2);
  EXPECT_EQ(count(run, "other").unsupported, 1);
  EXPECT_EQ(count(run, "other").no_golden, 1);
  EXPECT_EQ(count(run, "nobody").passed, 0);
}

TEST(Run, TheWorstTapHasTheLargestShareOfItsTolerance) {
  const assay::Run run = sample::all_verdicts();
  EXPECT_EQ(worst_tap(run.results[0])->tap, "text.logits");
  EXPECT_EQ(worst_tap(run.results[3]), nullptr) << "nothing was compared";
  EXPECT_EQ(first_failure(run.results[1])->tap, "text.layer.00.attn.q");
  EXPECT_EQ(first_failure(run.results[0]), nullptr);
}

TEST(Summary, HasALineForEachEngineAndGolden) {
  const assay::Run run = sample::all_verdicts();
  const std::vector<Line> lines = lines_of(run);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0].golden, "e2b");
  EXPECT_EQ(lines[0].passed, 1);
  EXPECT_EQ(lines[0].failed, 1);
  EXPECT_EQ(lines[0].worst->tap, "text.layer.00.attn.q");
  EXPECT_EQ(lines[0].worst_in->path, "decode");
  EXPECT_EQ(lines[1].golden, "e4b");
  EXPECT_EQ(lines[2].engine, "other");
}

TEST(Summary, SharesAreReadable) {
  TapResult tap = sample::tap("t");
  EXPECT_EQ(share_text(tap), "25 %");
  tap.stats.worst_ratio = 0.023;
  EXPECT_EQ(share_text(tap), "2.3 %");
  tap.stats.worst_ratio = 1234;
  EXPECT_EQ(share_text(tap), "1.23e+03x");
  tap.stats.not_finite = 1;
  EXPECT_EQ(share_text(tap), "not finite");
}

}  // namespace
}  // namespace assay
