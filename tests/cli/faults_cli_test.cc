// `assay faults`: exit codes and what is printed. Each fault by itself is tested by `assay faults run`.
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
