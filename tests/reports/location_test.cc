// A location as text and as JSON.
#include "reports/location.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "reports/sample.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TapResult wrong(std::string name, double ratio, double nmse) {
  TapResult tap = sample::tap(std::move(name), Verdict::fail_numeric);
  tap.stats.worst_ratio = ratio;
  tap.stats.nmse = nmse;
  tap.stats.mismatches = 3;
  return tap;
}

Location location() {
  Location out;
  out.path = sample::path("port", "e2b-tails", "prefill", Verdict::fail_numeric);
  out.path.taps = {sample::tap("text.embed"), sample::tap("text.layer.00.attn.q"),
                   wrong("text.layer.00.attn.q_rope", 4000, 0.01), wrong("text.layer.00.out", 40, 1e-4),
                   wrong("text.logits", 50, 1e-4)};
  out.forced = {sample::tap("text.embed"), wrong("text.layer.00.attn.q_rope", 4000, 0.01), sample::tap("text.logits")};
  out.layers = {wrong("text.layer.00.out", 30, 1e-4)};
  out.before = "text.layer.00.attn.q";
  out.first = out.born = "text.layer.00.attn.q_rope";
  out.hypotheses = {{.fault = "rope-global-short",
                     .row = "A2",
                     .what = "Pairs lie elsewhere.",
                     .shipped_in = "a/b#1",
                     .links = {"https://github.com/a/b/issues/1"},
                     .before = 0.116,
                     .after = 3e-6,
                     .explained = 3,
                     .wrong = 3,
                     .left = 0.1,
                     .tied = true}};
  out.tried = 12;
  out.rerun = "./assay locate --engine port";
  out.rerun_op = "./assay locate --engine port --op text.layer.00.attn.q_rope";
  return out;
}

int validate(const std::string& json, std::string& output) {
  const std::string script =
      "import json, sys, jsonschema\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "jsonschema.Draft7Validator.check_schema(schema)\n"
      "errors = list(jsonschema.Draft7Validator(schema).iter_errors(json.load(open(sys.argv[2]))))\n"
      "print(errors[:1])\n"
      "sys.exit(1 if errors else 0)\n";
  const std::string program = sample::written(script, "validate.py"), file = sample::written(json, "location.json");
  return sample::shell("python3 " + program + " " ASSAY_SOURCE_DIR "/reports/schema/location.schema.json " + file,
                       output);
}

TEST(Growth, HasARowALayerWithItsWorstTap) {
  const std::vector<GrowthRow> rows = growth(location());
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].name, "text.embed");
  EXPECT_FALSE(rows[0].wrong);
  EXPECT_EQ(rows[0].alone, 0.25) << "of the op by itself";
  EXPECT_EQ(rows[1].name, "text.layer.00");
  EXPECT_EQ(rows[1].worst, "text.layer.00.attn.q_rope");
  EXPECT_EQ(rows[1].ratio, 4000);
  EXPECT_EQ(rows[1].error, 0.1);
  EXPECT_EQ(rows[1].alone, 30) << "of the layer by itself";
  EXPECT_TRUE(rows[2].wrong);
}

TEST(LocationText, SaysWhereHowFarAndWhatItLooksLike) {
  const std::string text = location_text(location(), false);
  EXPECT_THAT(text, AllOf(HasSubstr("port e2b-tails/short/prefill"), HasSubstr("<- first wrong"),
                          HasSubstr("first wrong tap text.layer.00.attn.q_rope"),
                          HasSubstr("text.layer.00.attn.q (right)"), HasSubstr("4e+03x"), HasSubstr("[0, 3, 1, 0]")));
  EXPECT_THAT(text, AllOf(HasSubstr("born at text.layer.00.attn.q_rope"), HasSubstr("1 of 3 ops are wrong")));
  EXPECT_THAT(text, AllOf(HasSubstr("matches rope-global-short: 11.6 % -> 3e-06, 3 of 3 wrong taps"),
                          HasSubstr("https://github.com/a/b/issues/1")));
  EXPECT_THAT(text, HasSubstr("--op text.layer.00.attn.q_rope"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b"))) << "no colour was asked for";
  EXPECT_THAT(location_text(location(), true), HasSubstr("\x1b[31m"));
}

TEST(LocationText, BarsGrowWithTheError) {
  const std::string text = location_text(location(), false);
  const auto bar = [&](const std::string& row) {
    const std::size_t at = text.find("  " + row), end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    return std::ranges::count(line, '#') + std::ranges::count(line, '-');
  };
  EXPECT_GT(bar("text.layer.00 "), bar("text.logits "));
  EXPECT_GT(bar("text.logits "), bar("text.embed "));
}

TEST(LocationText, WithoutStepOrHypothesesItSaysWhy) {
  Location bare = location();
  bare.forced.clear();
  bare.layers.clear();
  bare.forced_note = "this engine offers no step";
  bare.hypotheses.clear();
  const std::string text = location_text(bare, false);
  EXPECT_THAT(text, AllOf(HasSubstr("not possible: this engine offers no step"),
                          HasSubstr("none of the catalogue's faults looks like this")));
}

TEST(LocationJson, FollowsTheSchema) {
  std::string output;
  EXPECT_EQ(validate(to_json(location()), output), 0) << output;
  Location broken = location();
  broken.path.taps[2].stats.not_finite = 1;
  broken.hypotheses[0].after = std::numeric_limits<double>::infinity();
  EXPECT_EQ(validate(to_json(broken), output), 0) << output;
  EXPECT_EQ(validate(R"({"schema": 1})", output), 1);
}

}  // namespace
}  // namespace assay
