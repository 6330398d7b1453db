#include "reports/bench.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "bench/sample_bench.h"
#include "reports/bench_report.h"
#include "temporary.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(Bound, IsTheSlowestOfReadingAndAllProducts) {
  const auto roofs = easy_roofs().rates();
  EXPECT_EQ(bound({.bytes = 30, .flops = {{"int8", 100}}}, roofs).seconds, 3);
  EXPECT_EQ(bound({.bytes = 30, .flops = {{"int8", 100}}}, roofs).roof, "read");
  const Bound products = bound({.bytes = 30, .flops = {{"int8", 200}, {"fp32", 60}}}, roofs);
  EXPECT_DOUBLE_EQ(products.seconds, 5);  // 2 and 3 seconds: one unit cannot do both at once
  EXPECT_EQ(products.roof, "fp32");
  EXPECT_EQ(bound({}, roofs).roof, "");
  EXPECT_EQ(bound({.bytes = 0, .flops = {{"bf16", 100}}}, roofs).seconds, 0) << "a roof that nobody measured";
}

TEST(BenchResult, ShareIsOfTheMedianAndWarmCountsNoBytes) {
  BenchResult result{.seconds = {4, 2, 100}, .must = {.bytes = 20, .flops = {{"int8", 100}}}};
  EXPECT_EQ(result.median_seconds(), 4);
  EXPECT_DOUBLE_EQ(result.share(easy_roofs()), 0.5);
  result.how = "warm";
  EXPECT_DOUBLE_EQ(result.share(easy_roofs()), 0.25);
  EXPECT_EQ(BenchResult{}.share(easy_roofs()), 0);
  result.beside["int8"] = 50;
  EXPECT_DOUBLE_EQ(result.share(easy_roofs()), 0.5) << "of the roof as it was beside it";
}

TEST(BenchBars, AreResultsEachWithItsOpsThatTakeTime) {
  BenchRun run = easy_run();
  OpShare longer = run.results[0].ops[0], short_one = longer, unbound = longer;
  longer.op = "gemm", longer.seconds = 8.5;
  short_one.op = "short", short_one.seconds = 0.05;
  unbound.op = "norm", unbound.must = {};
  for (const OpShare& op : {longer, short_one, unbound}) run.results[0].ops.push_back(op);
  const std::vector<Bar> bars = bars_of(run);
  ASSERT_EQ(bars.size(), 3U);
  EXPECT_EQ(bars[0].name, "gemv_q4_0_int8_x 4x32");
  EXPECT_EQ(bars[1].name, "gemm");
  EXPECT_DOUBLE_EQ(bars[1].share, 0.625 / 8.5) << "5 bytes at 8 a second, beside the ops";
  EXPECT_EQ(bars[1].detail, "74 % of the time");
  EXPECT_EQ(bars[1].group, "read roof");
  EXPECT_EQ(bars[2].name, "gemv");
}

TEST(BenchJson, ReadsBackWhatItWrote) {
  const BenchRun run = easy_run();
  const Result<BenchRun> read = bench_run_from_json(to_json(run), "here");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, run);
}

TEST(BenchJson, SaysWhatFollowsFromTheSamples) {
  const json out = json::parse(to_json(easy_run()));
  const json& kernel = out["results"][0];
  EXPECT_EQ(kernel["median_seconds"], 2);
  EXPECT_EQ(kernel["mad_seconds"], 0);
  EXPECT_EQ(kernel["bytes_per_second"], 5);
  EXPECT_EQ(kernel["roof"], "read");
  EXPECT_EQ(kernel["roof_share"], 0.25) << "10 bytes at 20 a second in 2 seconds";
  EXPECT_EQ(kernel["seconds"], json::array({2, 2.5, 2}));
  EXPECT_DOUBLE_EQ(kernel["ops"][0]["roof_share"], 0.625 / 1.5);
  EXPECT_EQ(out["results"][1]["right"], nullptr);
  EXPECT_EQ(out["machine"]["fingerprint"], "0123456789abcdef");
  EXPECT_EQ(out["roofs"]["all"][0]["per_second"], 10);
}

TEST(BenchJson, FollowsTheSchema) {
  const Temporary folder;
  put(folder / "run.json", to_json(easy_run()));
  put(folder / "bad.json", "{\"schema\":2}");
  put(folder / "validate.py",
      "import json, sys, jsonschema\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft7Validator.check_schema(schema)\n"
      "sys.exit(1 if list(jsonschema.Draft7Validator(schema).iter_errors(json.load(open(sys.argv[2])))) else 0)\n");
  const std::string command =
      "python3 " + (folder / "validate.py").string() + " " ASSAY_SOURCE_DIR "/reports/schema/bench.schema.json ";
  EXPECT_EQ(std::system((command + (folder / "run.json").string()).c_str()), 0);
  EXPECT_NE(std::system((command + (folder / "bad.json").string()).c_str()), 0);
}

TEST(BenchJson, RefusesOtherThings) {
  for (const char* text : {"", "{}", "[]", "{\"schema\":1}", "{\"schema\":2}"}) {
    const auto read = bench_run_from_json(text, "file.json");
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().message(), HasSubstr("file.json"));
  }
}

TEST(ShortNumber, HasThreeDigits) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(512), "512");
  EXPECT_EQ(short_number(12288), "12.3 k");
  EXPECT_EQ(short_number(1.41e9), "1.41 G");
  EXPECT_EQ(short_number(999.9e9), "1.00 T");
}

}  // namespace
}  // namespace assay
