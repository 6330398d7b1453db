// `assay locate`: exit codes and what is printed.
#include <nlohmann/json.hpp>

#include "program.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(Cli, AFaultIsLocatedAndNamed) {
  const Ran ran = assay("locate --fault rope-global-short --golden e2b-blocks --case short --json " + at("l.json"));
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("reference+fault=rope-global-short e2b-blocks/short/prefill"),
                             HasSubstr("first wrong tap text.layer.03.attn.q_rope"),
                             HasSubstr("born at text.layer.03.attn.q_rope"), HasSubstr("matches rope-global-short"),
                             HasSubstr("https://github.com/NVIDIA-NeMo/Megatron-Bridge/issues/4195")));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  const auto json = nlohmann::json::parse(bytes_of(at("l.json")));
  EXPECT_EQ(json.at("first"), "text.layer.03.attn.q_rope");
  EXPECT_EQ(json.at("hypotheses").at(0).at("fault"), "rope-global-short");
}

TEST_F(Cli, TheCommandOfOneOpRunsIt) {
  const Ran ran = assay("locate --fault gelu-erf --golden e2b-blocks --case short --op text.layer.00.mlp");
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("FAIL"), HasSubstr("text.layer.00.mlp")));
  EXPECT_EQ(assay("locate --fault gelu-erf --golden e2b-blocks --case short --op text.layer.00.attn.q").code, 0);
}

TEST_F(Cli, WhatIsRightOrUnsupportedOrUnknownHasItsExitCode) {
  EXPECT_EQ(assay("locate --engine reference --golden e2b-blocks --case short").code, 0);
  EXPECT_EQ(assay("locate --fault experts-ignored --golden e2b-blocks --case short").code, 3) << "nothing to bend";
  EXPECT_EQ(assay("locate --fault nothing --golden e2b-blocks").code, 2);
  EXPECT_EQ(assay("locate --engine nothing --golden e2b-blocks").code, 2);
  EXPECT_EQ(assay("locate --golden nothing").code, 2);
  EXPECT_EQ(assay("locate --golden e2b-blocks --op text.layer.77.mlp").code, 2);
}

TEST_F(Cli, VerifyTakesAFaultyEngineByItsName) {
  const Ran ran = assay("verify --engine reference+fault=softcap-missing --golden e2b-blocks --path prefill");
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("reference+fault=softcap-missing"));
  EXPECT_EQ(assay("verify --engine reference --fault softcap-missing --golden e2b-blocks --path prefill").code, 1);
}

}  // namespace
}  // namespace assay
