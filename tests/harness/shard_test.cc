// Parts of a run, put together again: as the whole would have been, or refused.
#include "harness/verify/shard.h"

#include <algorithm>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/json.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

PathResult result(int unit, const char* path) {
  PathResult out;
  out.engine = unit < 4 ? "reference" : "cpu";
  out.golden = "e2b";
  out.variant = "E2B";
  out.case_name = "case-" + std::to_string(unit % 4);
  out.path = path;
  out.verdict = unit == 5 ? Verdict::crash : Verdict::pass;
  out.seconds = 0.5;
  return out;
}

/// Eight units; the third has no result, as a filter may leave it.
Run whole() {
  Run run{.version = "1", .machine = {"processor", 2}, .seconds = 4, .expired = {"old"}};
  for (int unit = 0; unit < 8; ++unit)
    for (const char* path : {"prefill", "decode"})
      if (unit != 2) run.results.push_back(result(unit, path));
  return run;
}

Demands demands() {
  return {.built_in = {"reference:E2B:prefill", "cpu:E2B:batched"},
          .nothing_left_out = true,
          .asked = {"cpu:31B:decode"},
          .strict = true};
}

std::vector<Run> parts_of(const Run& run, int of) {
  std::vector<std::string> units;
  for (int unit = 0; unit < 8; ++unit) {
    const PathResult one = result(unit, "prefill");
    units.push_back(unit_name(one.engine, one.golden, one.case_name));
  }
  std::vector<Run> parts;
  for (int index = 1; index <= of; ++index) {
    Run part = run;
    part.seconds = run.seconds / of;
    part.shard = {.index = index, .of = of, .about = {{"program", "1"}}, .units = units, .demands = demands()};
    std::erase_if(part.results, [&](const PathResult& r) {
      const auto at = std::find(units.begin(), units.end(), unit_name(r.engine, r.golden, r.case_name)) - units.begin();
      return !ShardOf{index, of}.takes(std::size_t(at));
    });
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<Run> merged(const std::vector<Run>& parts) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < parts.size(); ++i) names.push_back("part-" + std::to_string(i));
  return merge_runs(parts, names);
}

std::string refusal(const std::vector<Run>& parts) {
  const auto run = merged(parts);
  return run ? "" : run.error().message();
}

TEST(Shard, Parses) {
  const auto shard = ShardOf::parse("2/8");
  ASSERT_TRUE(shard);
  EXPECT_EQ(shard->index, 2);
  EXPECT_EQ(shard->of, 8);
  for (const char* bad : {"", "1", "/", "0/2", "3/2", "-1/2", "1/2/3", "1/2 ", "a/2", "1/", "1/999999999999", " 1/2"})
    EXPECT_FALSE(ShardOf::parse(bad)) << bad;
}

TEST(Shard, EachUnitIsOnePartsAndNoOthers) {
  for (int of = 1; of < 12; ++of)
    for (std::size_t unit = 0; unit < 30; ++unit) {
      int takers = 0;
      for (int index = 1; index <= of; ++index) takers += ShardOf{index, of}.takes(unit) ? 1 : 0;
      EXPECT_EQ(takers, 1);
    }
}

TEST(Merge, GivesTheWholeRunWhateverTheOrderOfItsParts) {
  assay::Run expected = whole();
  expected.unmet = *find_unmet(expected, demands(), true);
  EXPECT_THAT(expected.unmet, ElementsAre("cpu must support E2B batched: nothing was judged",
                                          "cpu must support 31B decode: nothing was judged"));
  for (const int of : {1, 2, 4, 8, 16}) {  // powers of two: their seconds add up exactly
    std::vector<assay::Run> parts = parts_of(whole(), of);
    for (int turn = 0; turn < 2; ++turn) {
      const auto run = merged(parts);
      ASSERT_TRUE(run) << run.error().message();
      EXPECT_EQ(to_json(*run), to_json(expected)) << of;
      std::reverse(parts.begin(), parts.end());
    }
  }
}

TEST(Merge, SurvivesJson) {
  std::vector<assay::Run> parts;
  for (const assay::Run& part : parts_of(whole(), 3)) {
    auto read = run_from_json(to_json(part), "part");
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(*read, part);
    parts.push_back(*std::move(read));
  }
  EXPECT_TRUE(merged(parts));
}

TEST(Merge, APartIsNotBlamedForWhatAnotherJudges) {
  const assay::Run part = parts_of(whole(), 8)[0];
  EXPECT_TRUE(find_unmet(part, demands(), false)->empty());
  EXPECT_FALSE(find_unmet(part, demands(), true)->empty());
}

TEST(Merge, NamesAllMachines) {
  std::vector<assay::Run> parts = parts_of(whole(), 3);
  parts[1].machine = {"other", 8};
  const auto run = merged(parts);
  ASSERT_TRUE(run);
  EXPECT_EQ(run->machine.cpu, "processor, other");
  EXPECT_EQ(run->machine.cores, 8);
  EXPECT_EQ(run->seconds, 4);
}

TEST(Merge, RefusesWhatDoesNotBelongTogether) {
  const std::vector<assay::Run> good = parts_of(whole(), 3);
  EXPECT_THAT(refusal({}), HasSubstr("none"));
  EXPECT_THAT(refusal({good[0], good[2]}), HasSubstr("part 2 is missing"));
  EXPECT_THAT(refusal({good[0], good[1], good[2], good[1]}), HasSubstr("part-3: shard.index: expected each part once"));
  EXPECT_THAT(refusal({whole()}), HasSubstr("part-0: shard: expected a run of verify --shard"));
  const auto bent = [&](const std::function<void(assay::Run&)>& bend) {
    std::vector<assay::Run> parts = good;
    bend(parts[1]);
    return refusal(parts);
  };
  EXPECT_EQ(bent([](assay::Run&) {}), "");
  EXPECT_THAT(
      bent([](assay::Run& run) { run.shard->about[0].second = "2"; }),
      HasSubstr("part-1: shard.about: expected a part of the same run as the first, found program: 2 instead of 1"));
  EXPECT_THAT(bent([](assay::Run& run) { run.version = "2"; }), HasSubstr("part-1: version"));
  EXPECT_THAT(bent([](assay::Run& run) { run.shard->of = 4; }), HasSubstr("part-1: shard.of: expected 3, found 4"));
  EXPECT_THAT(bent([](assay::Run& run) { run.shard->units.pop_back(); }), HasSubstr("shard.units"));
  EXPECT_THAT(bent([](assay::Run& run) { run.shard->demands.strict = false; }), HasSubstr("shard.demands"));
  EXPECT_THAT(bent([](assay::Run& run) { run.expired.clear(); }), HasSubstr("expired"));
  EXPECT_THAT(bent([](assay::Run& run) { run.results[0].case_name = "case-9"; }), HasSubstr("part-1: results"));
  EXPECT_THAT(bent([](assay::Run& run) { run.results.push_back(result(0, "prefill")); }), HasSubstr("part-1: results"));
}

}  // namespace
}  // namespace assay
