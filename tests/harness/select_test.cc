// Which cases, paths and sizes a run takes.
#include "harness/verify/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/fake.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> names(const std::vector<Path>& paths) {
  std::vector<std::string> out;
  out.reserve(paths.size());
  for (const Path path : paths) out.push_back(path.name());
  return out;
}

std::vector<std::string> paths_of_prompt(int batch, int tokens, const Selection& selection) {
  const CaseInputs in = fake::inputs(batch, tokens);
  return names(paths_of(fake::plan(), fake::golden(fake::plan(), in, 0), in, selection));
}

TEST(Filter, IsASubstringOrAGlobOfTheWhole) {
  const std::string subject = subject_of("e2b", "short", "chunked:7", "text.layer.03.out");
  EXPECT_EQ(subject, "e2b/short/chunked:7/text.layer.03.out");
  for (const char* yes :
       {"", "short", "/short/", "e2b/short/chunked:7/text.layer.03.out", "*layer.03*", "e2b/*", "e?b/*/*.out"})
    EXPECT_TRUE(filter_matches(yes, subject)) << yes;
  for (const char* no : {"shorter", "/hort/", "short*", "*layer.03", "e4b"})
    EXPECT_FALSE(filter_matches(no, subject)) << no;
}

TEST(ChunkSizes, AreSevenSixteenAndPastTheWindowWhereTheyCutAtAll) {
  Plan plan = fake::plan();
  EXPECT_THAT(chunk_sizes(plan, 40), ElementsAre(7, 8, 16));  // a window of 5
  EXPECT_THAT(chunk_sizes(plan, 16), ElementsAre(7, 8));
  EXPECT_THAT(chunk_sizes(plan, 8), ElementsAre(7));
  EXPECT_THAT(chunk_sizes(plan, 7), ElementsAre(4)) << "every longer prompt than one token is cut somewhere";
  EXPECT_THAT(chunk_sizes(plan, 2), ElementsAre(1));
  EXPECT_THAT(chunk_sizes(plan, 1), IsEmpty());
  plan.layers[0].window = 4;
  EXPECT_THAT(chunk_sizes(plan, 40), ElementsAre(7, 16)) << "each size once";
  plan.layers[0].window = 0;
  EXPECT_THAT(chunk_sizes(plan, 40), ElementsAre(7, 16));
}

TEST(PathsOf, ASingleRowTakesAllPathsButBatched) {
  EXPECT_THAT(paths_of_prompt(1, 20, {}),
              ElementsAre("prefill", "nocache", "chunked:7", "chunked:8", "chunked:16", "decode"));
  EXPECT_THAT(paths_of_prompt(1, 1, {}), ElementsAre("prefill", "nocache", "decode"));
}

TEST(PathsOf, ABatchTakesBatchedAlone) { EXPECT_THAT(paths_of_prompt(3, 20, {}), ElementsAre("batched")); }

TEST(PathsOf, FollowTheSelection) {
  Selection selection;
  selection.paths = {"decode"};
  EXPECT_THAT(paths_of_prompt(1, 20, selection), ElementsAre("decode"));
  selection.paths = {"chunked"};
  EXPECT_THAT(paths_of_prompt(1, 20, selection), ElementsAre("chunked:7", "chunked:8", "chunked:16"));
  selection.paths = {"chunked:8", "chunked:3"};
  EXPECT_THAT(paths_of_prompt(1, 20, selection), ElementsAre("chunked:8", "chunked:3"));
  selection.paths = {"batched"};
  EXPECT_THAT(paths_of_prompt(1, 20, selection), IsEmpty());
}

TEST(PathsOf, FollowTheGolden) {
  const CaseInputs in = fake::inputs(1, 3);
  GoldenCase golden = fake::golden(fake::plan(), in, 0);
  golden.paths = {"nocache", "prefill"};
  EXPECT_THAT(names(paths_of(fake::plan(), golden, in, {})), ElementsAre("prefill", "nocache"));
}

TEST(Selection, RefusesPathsThatDoNotExist) {
  Selection selection;
  selection.paths = {"prefill", "sideways"};
  EXPECT_FALSE(selection.check_paths());
  selection.paths = {"chunked", "chunked:5"};
  EXPECT_TRUE(selection.check_paths());
}

}  // namespace
}  // namespace assay
