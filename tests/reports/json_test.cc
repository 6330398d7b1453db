// JSON: valid by the committed schema, and read back as it was written.
#include "reports/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/sample.h"

namespace assay {
namespace {

using testing::HasSubstr;

/// The schema's judgement of a text.
int validate(const std::string& json, std::string& output) {
  const std::string script =
      "import json, sys, jsonschema\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft7Validator.check_schema(schema)\n"
      "errors = list(jsonschema.Draft7Validator(schema).iter_errors(json.load(open(sys.argv[2]))))\n"
      "print(errors[:1])\n"
      "sys.exit(1 if errors else 0)\n";
  const std::string program = sample::written(script, "validate.py"), file = sample::written(json, "run.json");
  return sample::shell("python3 " + program + " " ASSAY_SOURCE_DIR "/reports/schema/run.schema.json " + file, output);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Json, FollowsTheSchema) {
  std::string output;
  EXPECT_EQ(validate(to_json(sample::all_verdicts()), output), 0) << output;
  EXPECT_EQ(validate(to_json(sample::all_standings()), output), 0) << output;
  assay::Run part = sample::all_standings();
  part.shard = {.index = 2,
                .of = 3,
                .about = {{"program", "1"}},
                .units = {"cpu e2b/short"},
                .demands = {.built_in = {"cpu:E2B:decode"}, .nothing_left_out = true, .asked = {}, .strict = true}};
  EXPECT_EQ(validate(to_json(part), output), 0) << output;
  assay::Run paths = sample::passing();
  for (const char* path : {"draft", "speculative", "process", "chunked:16"}) {
    paths.results[0].path = path;
    paths.results[0].taps[0].mode = "stage";
    EXPECT_EQ(validate(to_json(paths), output), 0) << path << output;
  }
  EXPECT_EQ(validate(to_json(assay::Run{.version = "1", .machine = {"cpu", 1}, .results = {}, .unmet = {}}), output), 0)
      << output;
}

TEST(Json, TheSchemaRefusesWhatIsNotARun) {
  const std::string good = to_json(sample::passing());
  std::string output;
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"\"verdict\":\"pass\"", "\"verdict\":\"fine\""},
                                                        {"\"path\":\"prefill\"", "\"path\":\"sideways\""},
                                                        {"\"mode\":\"taps\"", "\"mode\":\"all\""},
                                                        {"\"max_abs\":", "\"max\":"},
                                                        {"\"schema\":1", "\"schema\":2"},
                                                        {"\"count\":16", "\"count\":-16"},
                                                        {"\"standing\":\"judged\"", "\"standing\":\"so-so\""},
                                                        {"\"unmet\":[]", "\"unmet\":[],\"more\":1"}})
    EXPECT_EQ(validate(replaced(good, from, to), output), 1) << to << "\n" << output;
}

TEST(Json, ReadsBackWhatItWrote) {
  assay::Run run = sample::all_verdicts();
  run.results[5].note = "signal 11";  // what is not printable is not kept
  const Result<assay::Run> read = run_from_json(to_json(run), "here");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, run);
  const assay::Run standings = sample::all_standings();
  const Result<assay::Run> again = run_from_json(to_json(standings), "here");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, standings);
  for (const PathResult& result : run.results) {
    const Result<PathResult> one = path_result_from_json(to_json(result), "here");
    ASSERT_TRUE(one) << one.error().message();
    EXPECT_EQ(*one, result);
  }
}

TEST(Json, ReadsRunsFromBeforeThereWereStandings) {
  std::string json = to_json(sample::passing());
  json = replaced(json, ",\n\"expired\":[]", "");
  json = replaced(json, R"("standing":"judged","because":"","budget_before":null,)", "");
  const Result<assay::Run> read = run_from_json(json, "here");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, sample::passing());
}

TEST(Json, AResultIsOneLine) {
  assay::Run run = sample::all_verdicts();
  run.results[5].note = "two\nlines";
  for (const PathResult& result : run.results) EXPECT_EQ(to_json(result).find('\n'), std::string::npos);
}

TEST(Json, SurvivesBytesThatAreNoText) {
  PathResult result = sample::all_verdicts().results[5];
  const Result<PathResult> read = path_result_from_json(to_json(result), "here");
  ASSERT_TRUE(read);
  EXPECT_THAT(read->note, HasSubstr("signal 11 ]]>"));
  EXPECT_THAT(read->note, HasSubstr("? é"));
}

TEST(Json, NamesWhatItCannotRead) {
  const std::string good = to_json(sample::passing());
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{"), good.substr(0, good.size() / 2),
        replaced(good, "\"schema\":1", "\"schema\":2"), replaced(good, "\"verdict\":\"pass\"", "\"verdict\":\"fine\""),
        replaced(good, "\"count\":16", "\"count\":\"many\""), replaced(good, "\"tap\":", "\"top\":")}) {
    const Result<assay::Run> read = run_from_json(bad, "run.json");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().kind, Failure::bad_input);
    EXPECT_EQ(read.error().where, "run.json");
  }
}

}  // namespace
}  // namespace assay
