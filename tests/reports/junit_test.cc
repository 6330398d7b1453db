// JUnit: valid by the committed XSD, counts that add up.
#include "reports/junit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/sample.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing::Not;

int validate(const std::string& xml, std::string& output) {
  return sample::shell(
      "xmllint --noout --schema " ASSAY_SOURCE_DIR "/reports/schema/junit.xsd " + sample::written(xml, "out.xml"),
      output);
}

TEST(Junit, FollowsTheXsd) {
  std::string output;
  EXPECT_EQ(validate(to_junit(sample::all_verdicts()), output), 0) << output;
  EXPECT_EQ(validate(to_junit(assay::Run{}), output), 0) << output;
}

TEST(Junit, WhatIsExcusedIsSkipped) {
  std::string output;
  const std::string xml = to_junit(sample::all_standings());
  EXPECT_EQ(validate(xml, output), 0) << output;
  EXPECT_THAT(xml, HasSubstr(R"(tests="6" errors="1" skipped="2" failures="1")"));
  EXPECT_THAT(xml, HasSubstr(R"(<skipped message="known until 2999-12-31: &lt;b>NaN&lt;/b>" />)"));
  EXPECT_THAT(xml, HasSubstr(R"(<skipped message="timeout in the baseline" />)"));
  EXPECT_THAT(xml, HasSubstr("expired     known until 2020-01-01, which is over: a crash"));
  EXPECT_THAT(xml, HasSubstr("baseline    it passed there"));
}

TEST(Junit, TheXsdRefusesOtherXml) {
  std::string xml = to_junit(sample::all_verdicts()), output;
  xml.replace(xml.find("<failure"), 8, "<fiasco ");
  EXPECT_NE(validate(xml, output), 0);
}

TEST(Junit, CountsFailuresErrorsAndSkips) {
  const std::string xml = to_junit(sample::all_verdicts());
  EXPECT_THAT(
      xml, HasSubstr(R"(<testsuite name="reference.e2b" time="0.250" tests="2" errors="0" skipped="0" failures="1">)"));
  EXPECT_THAT(
      xml, HasSubstr(R"(<testsuite name="reference.e4b" time="0.125" tests="1" errors="0" skipped="0" failures="1">)"));
  EXPECT_THAT(xml,
              HasSubstr(R"(<testsuite name="other.e2b" time="0.625" tests="5" errors="2" skipped="2" failures="1">)"));
  EXPECT_THAT(
      xml, HasSubstr(R"(<testsuite name="requirements" time="0.000" tests="1" errors="0" skipped="0" failures="1">)"));
}

TEST(Junit, SaysWhatFailedAndHowToRunItAgain) {
  const std::string xml = to_junit(sample::all_verdicts());
  EXPECT_THAT(xml, HasSubstr(R"(<testcase name="short/decode" classname="reference.e2b" time="0.125">)"));
  EXPECT_THAT(xml, HasSubstr(R"(type="fail-numeric")"));
  EXPECT_THAT(xml, HasSubstr("at text.layer.00.attn.q"));
  EXPECT_THAT(xml, HasSubstr("--filter '/short/' --path decode"));
  EXPECT_THAT(xml, HasSubstr(R"(<skipped message="the engine has no cache" />)"));
}

TEST(Junit, SaysHowLogitsAgree) {
  const std::string xml = to_junit(sample::all_verdicts());
  EXPECT_THAT(xml, HasSubstr(R"(<property name="logits.kl_mean" value="0.002" />)"));
  EXPECT_THAT(xml, HasSubstr(R"(<property name="logits.kl_most" value="0.004" />)"));
  EXPECT_THAT(xml, HasSubstr(R"(<property name="logits.top1" value="3 of 4" />)"));
}

TEST(Junit, HostileTextStaysText) {
  const std::string xml = to_junit(sample::all_verdicts());
  EXPECT_THAT(xml, Not(HasSubstr("\x1b")));
  EXPECT_THAT(xml, HasSubstr("&lt;/td&gt;"));
}

}  // namespace
}  // namespace assay
