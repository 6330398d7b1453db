// Silence is a failure: what had to be judged and was not.
#include "harness/verify/require.h"

#include <map>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

Run run_of(Verdict verdict, const std::string& path = "chunked:7") {
  Run run;
  PathResult& result = run.results.emplace_back();
  result.engine = "fake";
  result.variant = "E2B";
  result.path = path;
  result.verdict = verdict;
  return run;
}

const std::vector<Requirement> kChunked{{"fake", "E2B", "chunked"}};

TEST(Require, IsMetByWhatWasJudged) {
  EXPECT_THAT(unmet(run_of(Verdict::pass), kChunked, true), IsEmpty());
  EXPECT_THAT(unmet(run_of(Verdict::fail_numeric), kChunked, true), IsEmpty()) << "a failure is reported as itself";
}

TEST(Require, IsNotMetByUnsupportedResults) {
  for (const bool all_judged : {false, true})
    EXPECT_THAT(unmet(run_of(Verdict::unsupported), kChunked, all_judged),
                ElementsAre(HasSubstr("fake must support E2B chunked: 1 results are unsupported")));
}

TEST(Require, IsNotMetBySilence) {
  for (const assay::Run& run : {assay::Run{}, run_of(Verdict::pass, "decode"), run_of(Verdict::no_golden)}) {
    EXPECT_THAT(unmet(run, kChunked, true), ElementsAre(HasSubstr("nothing was judged")));
    EXPECT_THAT(unmet(run, kChunked, false), IsEmpty());
  }
  EXPECT_THAT(unmet(run_of(Verdict::pass), std::vector<Requirement>{{"fake", "E2B", "chunked:8"}}, true), SizeIs(1));
  EXPECT_THAT(unmet(run_of(Verdict::pass), std::vector<Requirement>{{"fake", "E4B", "chunked"}}, true), SizeIs(1));
  EXPECT_THAT(unmet(run_of(Verdict::pass), std::vector<Requirement>{{"other", "E2B", "chunked"}}, true), SizeIs(1));
}

TEST(Require, StrictCountsWhatIsUnsupportedOrWithoutAGolden) {
  EXPECT_THAT(not_strict(run_of(Verdict::pass)), IsEmpty());
  EXPECT_THAT(not_strict(run_of(Verdict::unsupported)), SizeIs(1));
  EXPECT_THAT(not_strict(run_of(Verdict::no_golden)), SizeIs(1));
}

TEST(Require, IsReadFromTheCommandLine) {
  const Result<Requirement> read = parse_requirement("reference:26B-A4B:chunked:7");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->engine, "reference");
  EXPECT_EQ(read->variant, "26B-A4B");
  EXPECT_EQ(read->path, "chunked:7");
  for (const char* bad : {"", "reference", "reference:E2B", "reference:E2B:", ":E2B:decode", "reference::decode",
                          "reference:E2B:sideways"})
    EXPECT_FALSE(parse_requirement(bad)) << bad;
  EXPECT_TRUE(parse_requirement("front-end:front-end:process"));
}

TEST(Require, TheBuiltInListNamesEveryVariantOnItsPaths) {
  std::map<std::string, std::set<std::string>> paths;
  for (const Requirement& requirement : built_in_requirements()) paths[requirement.variant].insert(requirement.path);
  for (const char* variant : {"E2B", "E4B", "12B", "26B-A4B", "31B"})
    EXPECT_THAT(paths[variant], UnorderedElementsAre("prefill", "nocache", "chunked", "decode", "batched")) << variant;
  for (const char* drafter : {"E2B-draft", "12B-draft", "31B-draft"})
    EXPECT_THAT(paths[drafter], UnorderedElementsAre("draft", "speculative")) << drafter;
  EXPECT_THAT(paths["front-end"], UnorderedElementsAre("process"));
}

}  // namespace
}  // namespace assay
