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

TEST(Run, StandingsReadBack) {
  for (int i = 0; i < 6; ++i) {
    ASSERT_FALSE(name_of(Standing(i)).empty());
    EXPECT_EQ(parse_standing(name_of(Standing(i))), Standing(i));
  }
  EXPECT_EQ(parse_standing("excused"), std::nullopt);
}

TEST(Run, AStandingDecidesWhatCounts) {
  const auto code = [](Verdict verdict, Standing standing) {
    assay::Run run = with({verdict});
    run.results[0].standing = standing;
    return exit_code(run);
  };
  EXPECT_EQ(code(Verdict::crash, Standing::known), 0) << "it was judged, and nothing counts";
  EXPECT_EQ(code(Verdict::crash, Standing::as_before), 0);
  EXPECT_EQ(code(Verdict::crash, Standing::expired), 1);
  EXPECT_EQ(code(Verdict::crash, Standing::worse), 1);
  EXPECT_EQ(code(Verdict::unsupported, Standing::worse), 1);
  EXPECT_EQ(code(Verdict::pass, Standing::unexpected_pass), 0);
  const assay::Run run = sample::all_standings();
  EXPECT_EQ(count(run).known, 1);
  EXPECT_EQ(count(run).as_before, 1);
  EXPECT_EQ(count(run).failed, 2);
  EXPECT_EQ(count(run).passed, 2);
  EXPECT_EQ(count(run).all(), int(run.results.size()));
}

TEST(Summary, GrowthIsToldWhereItIsMoreThanNoise) {
  assay::Run run = sample::all_standings();
  ASSERT_EQ(growths(run).size(), 1U);
  EXPECT_EQ(text_of(growths(run)[0]), "reference e2b/short/batched: 25 % -> 50 % of tolerance at text.logits");
  for (const double before : {0.5, 0.49, 0.46, 0.9}) {
    run.results.back().budget_before = before;
    EXPECT_TRUE(growths(run).empty()) << before;
  }
  run.results.back().taps[1].stats.worst_ratio = 0.009;
  run.results.back().taps[0].stats.worst_ratio = 0;
  run.results.back().budget_before = 0.001;
  EXPECT_TRUE(growths(run).empty()) << "less than a hundredth of the tolerance";
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
  EXPECT_EQ(lines[0].counts.passed, 1);
  EXPECT_EQ(lines[0].counts.failed, 1);
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
