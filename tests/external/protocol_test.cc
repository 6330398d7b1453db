// Lines to and from engines; each line that we send fits the schema.
#include "engine/external/protocol.h"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay::external {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string why(std::string_view line, bool* broken = nullptr) {
  bool is_broken = false;
  const auto checked = check_answer(line, 4, "engine", "forward", is_broken);
  if (broken != nullptr) *broken = is_broken;
  return checked ? "" : checked.error().message();
}

TEST(Protocol, AnAnswerIsAnObjectWithTheRequestsId) {
  bool broken = true;
  EXPECT_EQ(why(R"({"id": 4})", &broken), "");
  EXPECT_FALSE(broken);
  EXPECT_THAT(why("hello", &broken), HasSubstr("found hello"));
  EXPECT_TRUE(broken);
  for (const char* line :
       {"", "[4]", R"({"id": 5})", R"({"id": "4"})", R"({"id": 4.5})", "{}", R"({"id": 4, "id": 4})"}) {
    EXPECT_NE(why(line, &broken), "") << line;
    EXPECT_TRUE(broken) << line;
  }
}

TEST(Protocol, AnErrorIsAFailureAndTheEngineGoesOn) {
  bool broken = true;
  EXPECT_THAT(why(R"({"id": 4, "error": {"kind": "failed", "message": "no"}})", &broken), HasSubstr("no"));
  EXPECT_FALSE(broken);
  bool ignored = false;
  const auto checked = check_answer(R"({"id": 4, "error": {"kind": "unsupported"}})", 4, "engine", "forward", ignored);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind, Failure::unsupported);
}

TEST(Protocol, HelloSaysWhatAnEngineIs) {
  const auto hello = read_hello(
      R"({"id": 1, "protocol": 1, "name": "port", "arithmetic": "bf16", "taps": ["text.*"], "cache": true,
          "dtypes": ["F32"], "logits": "none", "variants": {"E2B": {"logits": "last"}, "*": {"dtypes": ["BF16"]}}})",
      "engine");
  ASSERT_TRUE(hello) << hello.error().message();
  EXPECT_EQ(hello->can.name, "port");
  EXPECT_EQ(hello->can.arithmetic, "bf16");
  EXPECT_TRUE(hello->can.cache);
  EXPECT_FALSE(hello->can.batch);
  EXPECT_EQ(hello->can.logits, LogitRows::none);
  ASSERT_EQ(hello->can.variants.size(), 2U);
  EXPECT_EQ(hello->can.variants[0].variant, "E2B");
  EXPECT_EQ(hello->can.variants[0].logits, LogitRows::last);
  EXPECT_THAT(hello->can.variants[0].dtypes, ElementsAre("F32"));
  EXPECT_EQ(hello->can.variants[1].logits, LogitRows::none);
  EXPECT_THAT(hello->can.variants[1].dtypes, ElementsAre("BF16"));
}

TEST(Protocol, WhatIsWrongInHelloIsNamed) {
  const auto refused = [](std::string_view line) {
    const auto hello = read_hello(line, "engine");
    return hello ? std::string() : hello.error().message();
  };
  EXPECT_THAT(refused(R"({"id": 1})"), HasSubstr("protocol: expected 1"));
  EXPECT_THAT(refused(R"({"protocol": 2, "name": "x"})"), HasSubstr("protocol"));
  EXPECT_THAT(refused(R"({"protocol": 1})"), HasSubstr("name"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "a b"})"), HasSubstr("name"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "x", "cache": 1})"), HasSubstr("cache"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "x", "taps": "all"})"), HasSubstr("taps"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "x", "taps": [1]})"), HasSubstr("taps"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "x", "logits": "some"})"), HasSubstr("all, last or none"));
  EXPECT_THAT(refused(R"({"protocol": 1, "name": "x", "variants": {"E2B": 1}})"), HasSubstr("variants"));
}

TEST(Protocol, RequestsFitTheSchema) {
  const Temporary folder;
  const Files files{"in", "out"};
  const ForwardFields fields{.session = 1, .target = 2, .cache = Cache::extend, .logit_rows = 1, .taps = {"text.norm"}};
  const int keep[] = {3, 4};
  std::ofstream lines(folder / "lines");
  lines << hello_line(1, "/tmp/x") << "\n"
        << open_line(2, "/m") << "\n"
        << close_line(3, 1) << "\n"
        << bye_line(4) << "\n";
  lines << forward_line(5, fields, files) << "\n" << generate_line(6, fields, 3, files) << "\n";
  lines << step_line(7, 1, "text.norm", files) << "\n" << truncate_line(8, 1, keep) << "\n";
  lines << cached_kv_line(9, 1, 0, files) << "\n" << embed_line(10, 1, files) << "\n";
  lines.close();
  put(folder / "check.py",
      "import json, sys\n"
      "from jsonschema import Draft202012Validator\n"
      "schema = json.load(open(sys.argv[1]))\n"
      "Draft202012Validator.check_schema(schema)\n"
      "check = Draft202012Validator(schema)\n"
      "lines = open(sys.argv[2]).read().splitlines()\n"
      "for line in lines: check.validate(json.loads(line))\n"
      "assert len(lines) == 10\n"
      "wrong = json.loads(lines[4]); del wrong['inputs']\n"
      "assert not check.is_valid(wrong) and not check.is_valid({'id': 1, 'verb': 'sing'})\n");
  EXPECT_EQ(std::system(("python3 " + (folder / "check.py").string() +
                         " " ASSAY_SOURCE_DIR "/engine/external/protocol.schema.json " + (folder / "lines").string())
                            .c_str()),
            0);
}

}  // namespace
}  // namespace assay::external
