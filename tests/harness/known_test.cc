// Known failures: both forms of the file, every way to get it wrong, and what each entry makes of a result.
#include "harness/verify/known.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::sys_days kToday = 2026y / 5 / 17;

PathResult result(std::string path, Verdict verdict) {
  PathResult out;
  out.engine = "cpu+acts=int8";
  out.golden = "e2b-tails";
  out.variant = "E2B";
  out.case_name = "short";
  out.path = std::move(path);
  out.verdict = verdict;
  return out;
}

KnownFailure entry(std::chrono::year_month_day expires, std::string reason = "why") {
  return {.golden = "e2b-*", .reason = std::move(reason), .expires = expires};
}

Standing standing(Verdict verdict, std::vector<KnownFailure> known) {
  PathResult one = result("decode", verdict);
  apply_known(std::span(&one, 1), known, kToday);
  EXPECT_EQ(one.because.empty(), one.standing == Standing::judged);
  return one.standing;
}

class KnownFile : public testing::Test {
 protected:
  Result<std::vector<KnownFailure>> read(const std::string& text, const std::string& name = "known.json") {
    put(folder_ / name, text);
    return read_known_failures(folder_ / name);
  }
  std::string refusal(const std::string& text, const std::string& name = "known.json") {
    const auto known = read(text, name);
    return known ? "" : known.error().message();
  }
  Temporary folder_;
};

TEST_F(KnownFile, IsTomlOrJson) {
  const auto toml = read(
      "# why we live with these\n[[known]]\nengine = 'cpu+*'\ngolden = \"e2b-*\"\ncase = 'short'\npath = 'chunked:*'\n"
      "reason = 'sums in another order'\nexpires = 2026-12-31\n\n[[known]]\ncase = 'b'\nreason = 'r'\nexpires = "
      "'2027-01-01'\n",
      "known.toml");
  ASSERT_TRUE(toml) << toml.error().message();
  const auto json = read(
      R"({"known": [{"engine": "cpu+*", "golden": "e2b-*", "case": "short", "path": "chunked:*",
          "reason": "sums in another order", "expires": "2026-12-31"},
          {"case": "b", "reason": "r", "expires": "2027-01-01"}]})");
  ASSERT_TRUE(json) << json.error().message();
  for (const auto& known : {*toml, *json}) {
    ASSERT_EQ(known.size(), 2U);
    EXPECT_EQ(known[0].reason, "sums in another order");
    EXPECT_EQ(known[0].expires, 2026y / 12 / 31);
    EXPECT_TRUE(known[0].covers(result("chunked:7", Verdict::crash)));
    EXPECT_FALSE(known[0].covers(result("decode", Verdict::crash)));
    EXPECT_EQ(known[1].engine, "*");
    EXPECT_FALSE(known[1].covers(result("decode", Verdict::crash)));
  }
  EXPECT_TRUE(read(R"({"known": []})"));
}

TEST_F(KnownFile, WhatIsWrongIsNamed) {
  const std::string good = R"("case": "a", "reason": "r", "expires": "2026-12-31")";
  EXPECT_EQ(refusal(R"({"known": [{)" + good + "}]}"), "");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{", "known.json: expected JSON"},
      {"[]", "a list `known`"},
      {"{}", "known: expected a list"},
      {R"({"known": 3})", "known: expected a list"},
      {R"({"known": [], "more": 1})", "more: "},
      {R"({"known": [3]})", "known[0]: expected a table"},
      {R"({"known": [{)" + good + R"(}, {"case": "b", "reason": "r"}]})", "known[1].expires: expected a day"},
      {R"({"known": [{"case": "a", "reason": "r", "expires": "soon"}]})",
       "known[0].expires: expected a day, YYYY-MM-DD, "
       "found soon"},
      {R"({"known": [{"case": "a", "reason": "r", "expires": "2026-02-30"}]})", "known[0].expires"},
      {R"({"known": [{"case": "a", "reason": "r", "expires": "2026-2-3"}]})", "known[0].expires"},
      {R"({"known": [{"case": "a", "reason": "r", "expires": 20261231}]})", "known[0].expires: expected a text"},
      {R"({"known": [{"case": "a", "expires": "2026-12-31"}]})", "known[0].reason"},
      {R"({"known": [{"case": "a", "reason": "", "expires": "2026-12-31"}]})", "known[0].reason"},
      {R"({"known": [{"reason": "r", "expires": "2026-12-31"}]})", "known[0]: expected engine, golden, case or path"},
      {R"({"known": [{"tap": "x", "reason": "r", "expires": "2026-12-31"}]})", "known[0].tap"},
  };
  for (const auto& [text, word] : bad) EXPECT_THAT(refusal(text), HasSubstr(word)) << text;
  EXPECT_THAT(refusal("[[known]]\ncase = \n", "known.toml"), HasSubstr("line 2: expected TOML"));
  EXPECT_THAT(refusal("known = 3", "known.toml"), HasSubstr("known: expected a list"));
  EXPECT_THAT(refusal("[[known]]\ncase = 'a'\nreason = 'r'\nexpires = 2026-12-31T10:00:00\n", "known.toml"),
              HasSubstr("known[0].expires"));
  const auto none = read_known_failures(folder_ / "none.toml");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, Failure::io);
}

TEST(Known, AFailureThatIsCoveredDoesNotCountUntilItExpires) {
  EXPECT_EQ(standing(Verdict::fail_nan, {}), Standing::judged);
  EXPECT_EQ(standing(Verdict::fail_nan, {entry(2026y / 5 / 18)}), Standing::known);
  EXPECT_EQ(standing(Verdict::fail_nan, {entry(2026y / 5 / 17)}), Standing::known) << "its last day";
  EXPECT_EQ(standing(Verdict::fail_nan, {entry(2026y / 5 / 16)}), Standing::expired);
  EXPECT_EQ(standing(Verdict::pass, {entry(2026y / 5 / 18)}), Standing::unexpected_pass);
  EXPECT_EQ(standing(Verdict::pass, {entry(2026y / 5 / 16)}), Standing::judged);
  EXPECT_EQ(standing(Verdict::unsupported, {entry(2026y / 5 / 18)}), Standing::judged);
  KnownFailure other = entry(2026y / 5 / 18);
  other.golden = "e4b-*";
  EXPECT_EQ(standing(Verdict::fail_nan, {other}), Standing::judged);
}

TEST(Known, TheFirstEntryThatHoldsDecides) {
  PathResult one = result("decode", Verdict::crash);
  const std::vector<KnownFailure> known = {entry(2020y / 1 / 1, "old"), entry(2027y / 1 / 1, "first"),
                                           entry(2028y / 1 / 1, "second")};
  apply_known(std::span(&one, 1), known, kToday);
  EXPECT_EQ(one.standing, Standing::known);
  EXPECT_EQ(one.because, "known until 2027-01-01: first");
  EXPECT_THAT(expired_lines(known, kToday), ElementsAre("* e2b-*/*/*: known until 2020-01-01: old"));
  EXPECT_THAT(expired_lines(std::span(known).subspan(1), kToday), IsEmpty());
}

}  // namespace
}  // namespace assay
