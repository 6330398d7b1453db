// `assay faults`: exit codes and what is printed. Each fault by itself is tested by `assay faults run`.
#include <fstream>

#include <nlohmann/json.hpp>

#include "program.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST_F(Cli, AFaultIsDetectedAndPlaced) {
  const Ran ran = assay("faults run rope-global-short softcap-missing none --golden e2b-tails");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("faults: 2 of 2 detected, 2 placed; 1 of 1 controls left alone"));
  const auto json = nlohmann::json::parse(assay("faults run softcap-missing --golden e2b-tails --json").out);
  EXPECT_FALSE(json.empty());
}

TEST_F(Cli, AFaultThatAGoldenCannotShowIsNoSuccess) {
  EXPECT_EQ(assay("faults run one-expert-too-few --golden e2b-tails").code, 1) << "a dense model has no experts";
}

TEST_F(Cli, WhatIsKnownOfFaultsIsWrittenAsItComes) {
  const std::string file = testing::TempDir() + "faults_cli_out.jsonl";
  const Ran ran =
      assay("faults run rope-global-short softcap-missing none --golden e2b-tails --name --pairs 1 --out " + file);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("named: 2 of 2 faults (100.0 %)"));
  EXPECT_THAT(ran.out, HasSubstr("2 (100.0 %) first on every one"));
  EXPECT_THAT(ran.out, HasSubstr("pairs: one of the two named in 1 of 1 (100.0 %), seed 1"));
  int faults = 0, names = 0, pairs = 0;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    faults += json.contains("fault");
    names += json.contains("naming") && !json.contains("fault");
    pairs += json.contains("pair");
  }
  EXPECT_EQ(faults, 3);
  EXPECT_EQ(names, 2);
  EXPECT_EQ(pairs, 1);
  EXPECT_EQ(assay("faults run none --golden e2b-tails --out /nowhere/at/all").code, 2);
}

TEST_F(Cli, LogitsThatLowerPrecisionMakesInfiniteAreSeen) {
  const Ran ran = assay("faults run draft-others-minus-large --golden e2b-draft --arithmetic fp16");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("first at assistant.logits"));
}

TEST_F(Cli, FaultsAreListedAndShown) {
  EXPECT_THAT(assay("faults list").out, HasSubstr("rope-global-short"));
  const Ran shown = assay("faults show rope-global-short");
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out, AllOf(HasSubstr("A2"), HasSubstr("Megatron-Bridge#4195")));
  EXPECT_EQ(assay("faults show nothing").code, 2);
  EXPECT_EQ(assay("faults run nothing").code, 2);
}

}  // namespace
}  // namespace assay
