// The examples as their readers run them, through the program; and engines that show less than a whole model. Not here:
// engines that misbehave.
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/program.h"
#include "external/python.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kExamples = ASSAY_SOURCE_DIR "/examples/", kHere = ASSAY_SOURCE_DIR "/tests/external/";
const std::string kData = ASSAY_SOURCE_DIR "/golden/data/";

class Examples : public Cli {
 protected:
  static std::string python(const std::string& script) { return python_engine(script); }
};

TEST_F(Examples, TheNumpyPortPassesTextGoldens) {
  const std::string port = python(kExamples + "numpy_port.py");
  NEEDS_PYTHON(port);
  const Ran ran = assay("verify --golden seed --golden headless" + port);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("numpy-port: 28 passed, 0 failed, 0 unsupported"));
  const Ran packed = assay("verify --golden 26b-a4b-blocks-q4_0 --filter /short/" + port);
  EXPECT_EQ(packed.code, 0) << packed.out << packed.err;
  EXPECT_THAT(packed.out, HasSubstr(" 0 failed, 0 unsupported"));
}

TEST_F(Examples, TheOneInCShowsTwoTapsAsALibrary) {
  const Ran ran = assay("verify --golden e2b-blocks --golden 12b-blocks --engine-lib " ASSAY_EMBED_ENGINE " -v");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("embed-c: 25 passed, 0 failed"), HasSubstr("embed-c e2b-blocks/short/prefill")));
}

TEST_F(Examples, TheOneInJavaScriptShowsOneTap) {
  if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no node (Debian: nodejs)";
  const Ran ran = assay("verify --golden e2b-blocks --golden 12b-blocks --engine-cmd 'node " + kExamples + "embed.js'");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("embed-js: 25 passed, 0 failed"));
}

TEST_F(Examples, AnEngineOfLastRowsIsJudgedOnThese) {
  const std::string last = python(kHere + "less_of_a_port.py last");
  NEEDS_PYTHON(last);
  const Ran ran = assay("verify --golden e2b-blocks --golden 31b-blocks --json " + at("run.json") + last);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("last-row: 10 passed, 0 failed"));
  const auto run = nlohmann::json::parse(bytes_of(folder_ / "run.json"));
  for (const auto& result : run["results"]) {
    if (result["golden"] != "e2b-blocks") {
      EXPECT_EQ(result["verdict"], "unsupported");  // a variant that it does not declare
      continue;
    }
    bool logits = false, generated = false;
    for (const auto& tap : result["taps"]) {
      logits = logits || tap["tap"] == "text.logits";
      generated = generated || tap["tap"] == "generated_logits";
    }
    EXPECT_TRUE(logits && generated) << result["case"] << " " << result["path"];
  }
}

TEST_F(Examples, IdsAloneAreNeverCalledVerified) {
  const std::string ids = python(kHere + "less_of_a_port.py ids"),
                    wrong = python(kHere + "less_of_a_port.py wrong-ids");
  NEEDS_PYTHON(ids);
  const Ran right = assay("verify --golden e2b-blocks --filter /prefill -v" + ids);
  EXPECT_EQ(right.code, 0) << right.out << right.err;
  EXPECT_THAT(right.out, HasSubstr("nothing was numerically verified"));
  const Ran bad = assay("verify --golden e2b-blocks --filter /prefill" + wrong);
  EXPECT_EQ(bad.code, 1) << bad.out << bad.err;
  EXPECT_THAT(bad.out, HasSubstr("fail-numeric at generated_ids"));
}

TEST_F(Examples, WhatIsNotDeclaredIsUnsupported) {
  const std::string other = python(kHere + "less_of_a_port.py other");
  NEEDS_PYTHON(other);
  const Ran ran = assay("verify --golden 12b-blocks --golden e2b-blocks --filter /short/prefill -v" + other);
  EXPECT_EQ(ran.code, 3) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("a variant that the engine declares"), HasSubstr("no BF16 weights of E2B")));
}

TEST_F(Examples, AFailureIsPlacedAndItsCommandRepeatsIt) {
  const std::string wrong = python(kHere + "less_of_a_port.py wrong");
  NEEDS_PYTHON(wrong);
  const Ran ran = assay("verify --golden e2b-blocks --filter /short/prefill" + wrong);
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("fail-numeric at text.layer.01.mlp"));
  const std::size_t command = ran.out.find("./assay ");
  ASSERT_NE(command, std::string::npos);
  const std::string rerun = ran.out.substr(command + 8, ran.out.find('\n', command) - command - 8);
  EXPECT_THAT(rerun, HasSubstr("less_of_a_port.py wrong' --golden e2b-blocks"));
  const Ran again = assay(rerun);
  EXPECT_EQ(again.code, 1) << rerun;
  EXPECT_THAT(again.out, HasSubstr("fail-numeric at text.layer.01.mlp"));
}

TEST_F(Examples, DumpAndBenchTakeThemToo) {
  const std::string port = python(kExamples + "numpy_port.py");
  NEEDS_PYTHON(port);
  const std::string inputs =
      " --model " + kData + "seed/checkpoint --inputs " + kData + "seed/golden.h5:/cases/short/inputs";
  const Ran dumped = assay("dump --taps 'text.layer.*.out' --generate 3 --out " + at("o.h5") + inputs + port);
  EXPECT_EQ(dumped.code, 0) << dumped.err;
  EXPECT_THAT(dumped.out, AllOf(HasSubstr("taps/text.layer.06.out"), HasSubstr("outputs/generated_ids")));
  const Ran bench =
      assay("bench --model " + kData + "seed/checkpoint --lengths 8 --depths 8 --decode 2 --reps 1 --warm-up 0" + port);
  EXPECT_EQ(bench.code, 0) << bench.err;
  EXPECT_THAT(bench.out, HasSubstr("numpy-port"));
}

TEST_F(Examples, WhatIsNoEngineIsTold) {
  const Ran ended = assay("verify --engine-cmd 'true; exit 7'");
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("true; exit 7: hello"), HasSubstr("exit status 7")));
  EXPECT_THAT(assay("verify --engine-cmd no-such-program").err, HasSubstr("not found"));
  EXPECT_THAT(assay("verify --engine-lib /no/such.so").err, HasSubstr("a shared library"));
  EXPECT_EQ(assay("dump --engine cpu --engine-cmd cat --model x --inputs y --out z").code, 2);
}

}  // namespace
}  // namespace assay
