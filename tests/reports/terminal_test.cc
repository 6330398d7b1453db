// What a terminal shows.
#include "reports/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/sample.h"

namespace assay {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST(Terminal, APassingRunIsATableAndALine) {
  EXPECT_EQ(terminal_report(sample::passing(), {}),
            "engine     golden        paths   max abs   of tolerance  worst tap\n"
            "reference  e2b           1 / 1   1.5e-05           50 %  short/prefill text.logits\n"
            "\n"
            "reference logits: KL 0.002, at most 0.004; top-1 3 of 4\n"
            "reference: 1 passed, 0 failed, 0 unsupported in 31.2 s\n");
}

TEST(Terminal, AFailureIsShownInFull) {
  const std::string text = terminal_report(sample::all_verdicts(), {});
  EXPECT_THAT(
      text,
      HasSubstr("FAIL reference e2b/short/decode: fail-numeric at text.layer.00.attn.q\n"
                "  mode        all taps wanted\n"
                "  shape       [1, 4, 2, 2]\n"
                "  worst at    [0, 3, 1, 0]: expected 0.5, got 0.500012517\n"
                "  error       max abs 1.5e-05, max rel 0.0625, 96 ULP, RMS 5e-06, NMSE 1e-09, cosine 0.9999\n"
                "  allowed     5e-05 + 1e-05 |expected|\n"
                "  mismatches  3 of 16\n"
                "  after it    1 more tap results failed\n"
                "  re-run      ./assay verify --engine reference --golden e2b --filter '/short/' --path decode\n"));
  EXPECT_THAT(text, HasSubstr("FAIL other e2b/short/batched: timeout\n  why         no end after 60 s\n"));
  EXPECT_THAT(
      text,
      HasSubstr("FAIL other e2b/short/chunked:7: fail-shape at text.norm\n  why         15 values instead of 16\n"));
  EXPECT_THAT(text, HasSubstr("UNMET reference must support 31B decode: nothing was judged\n"));
}

TEST(Terminal, EachEngineHasItsLastLine) {
  EXPECT_THAT(terminal_report(sample::all_verdicts(), {}),
              EndsWith("reference: 1 passed, 2 failed, 0 unsupported in 31.2 s\n"
                       "other: 0 passed, 3 failed, 1 unsupported, 1 without a golden in 31.2 s\n"));
  EXPECT_EQ(terminal_report(assay::Run{}, {}), "nothing was judged\n");
}

TEST(Terminal, StandingsAreTold) {
  const std::string text = terminal_report(sample::all_standings(), {});
  EXPECT_THAT(text, HasSubstr("UNEXPECTED PASS reference e2b/short/nocache: expected to fail until 2999-12-31"));
  EXPECT_THAT(text, HasSubstr("EXPIRED reference e2b/short/decode: known until 2020-01-01: a crash\n"));
  EXPECT_THAT(text, HasSubstr("FAIL reference e2b/short/decode: crash\n  expired     known until 2020-01-01"));
  EXPECT_THAT(text, HasSubstr("FAIL reference e2b/short/chunked:16: unsupported\n  baseline    it passed there\n"));
  EXPECT_THAT(text, HasSubstr("GREW reference e2b/short/batched: 25 % -> 50 % of tolerance at text.logits\n"));
  EXPECT_THAT(text, Not(HasSubstr("FAIL reference e2b/short/prefill")));
  EXPECT_THAT(text, Not(HasSubstr("FAIL reference e2b/short/chunked:7:")));
  EXPECT_THAT(text, EndsWith("reference: 2 passed, 2 failed, 0 unsupported, 1 known failure, 1 failure as in the "
                             "baseline in 31.2 s\n"));
  EXPECT_THAT(terminal_report(sample::all_standings(), {.verbose = true}),
              HasSubstr("fail-nan     reference e2b/short/prefill  known  0.12 s\n"
                        "             known until 2999-12-31: <b>NaN</b>\n"));
}

TEST(Terminal, ColorsAndControlCharactersOnlyWhereWanted) {
  EXPECT_THAT(terminal_report(sample::all_verdicts(), {}), Not(HasSubstr("\x1b")));
  const std::string colored = terminal_report(sample::all_verdicts(), {.color = true});
  EXPECT_THAT(colored, HasSubstr("\x1b[31mFAIL\x1b[0m"));
  EXPECT_THAT(colored, HasSubstr("`x` @all ?[31m")) << "an engine's own escapes do not reach the terminal";
}

TEST(Terminal, VerboseShowsEveryPath) {
  const std::string text = terminal_report(sample::all_verdicts(), {.verbose = true});
  EXPECT_THAT(text, HasSubstr("pass         reference e2b/short/prefill  text.logits max abs 1.5e-05, 50 %  0.12 s\n"
                              "             logits: KL 0.002, at most 0.004; top-1 3 of 4\n"));
  EXPECT_THAT(text, HasSubstr("unsupported  other e2b/short/decode  0.12 s\n             the engine has no cache\n"));
  EXPECT_THAT(terminal_report(sample::all_verdicts(), {}), Not(HasSubstr("pass         reference")));
}

TEST(Terminal, ABrokenEngineDoesNotFloodIt) {
  assay::Run run = sample::all_verdicts();
  run.results.assign(300, run.results[1]);
  const std::string text = terminal_report(run, {});
  EXPECT_THAT(text, HasSubstr("280 more failures"));
}

}  // namespace
}  // namespace assay
