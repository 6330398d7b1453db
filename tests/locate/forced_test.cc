// Teacher forcing: the inputs of every op are there, true ops pass on them, and a bent one is the first that does not.
#include "harness/locate/forced.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/engines/engines.h"
#include "harness/locate/evidence.h"

namespace assay {
namespace {

const std::filesystem::path kData = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data";

struct Forcing {
  Forcing(const std::string& name, const std::string& case_name)
      : checkpoint(open_checkpoint({.name = name, .checkpoint = kData / name / "checkpoint"}).value()),
        golden(Golden::open(kData / name / "golden.h5").value().load(case_name).value()),
        inputs(CaseInputs::from(golden.inputs, name).value()),
        view(case_view(checkpoint.plan, golden, inputs, "fp32").value()) {}

  Forced run(const std::string& engine) {
    const auto oracle = make_engine("reference").value().open(checkpoint).value();
    const auto session = make_engine(engine).value().open(checkpoint).value();
    return force(*session, view, golden, KnownTaps::from(*oracle, view, golden), all_taps(checkpoint.plan));
  }

  Checkpoint checkpoint;
  GoldenCase golden;
  CaseInputs inputs;
  CaseView view;
};

std::vector<std::string> wrong(const std::vector<TapResult>& results) {
  std::vector<std::string> names;
  for (const TapResult& tap : results)
    if (failed(tap.verdict)) names.push_back(tap.tap);
  return names;
}

TEST(Forced, TrueOpsAndLayersAreRight) {
  for (const char* name : {"e2b-tails", "26b-a4b-blocks"}) {
    Forcing forcing(name, "short");
    const Forced forced = forcing.run("reference");
    EXPECT_EQ(forced.note, "") << name;
    EXPECT_EQ(forced.ops.size(), all_taps(forcing.checkpoint.plan).size()) << name << ": those not kept, too";
    EXPECT_EQ(forced.layers.size(), forcing.checkpoint.plan.layers.size()) << name;
    EXPECT_THAT(wrong(forced.ops), testing::IsEmpty()) << name;
    EXPECT_THAT(wrong(forced.layers), testing::IsEmpty()) << name;
  }
}

TEST(Forced, ABentOpIsWrongAndItsEchoesAreRight) {
  const Forced forced = Forcing("e2b-tails", "short").run("reference+fault=rope-global-short");
  EXPECT_THAT(wrong(forced.ops), testing::ElementsAre("text.layer.04.attn.q_rope", "text.layer.04.attn.k_rope",
                                                      "text.layer.09.attn.q_rope", "text.layer.09.attn.k_rope",
                                                      "text.layer.14.attn.q_rope"));
  EXPECT_THAT(wrong(forced.layers),
              testing::ElementsAre("text.layer.04.out", "text.layer.09.out", "text.layer.14.out"));
}

TEST(Forced, AnOpThatTheCaseDoesNotKeepIsHeldAgainstTheOracle) {
  const Forced forced = Forcing("e2b-tails", "at-window-plus-one").run("reference+fault=gelu-erf");
  const std::vector<std::string> names = wrong(forced.ops);
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "text.layer.00.mlp");
  const auto mlp = std::ranges::find(forced.ops, "text.layer.00.mlp", &TapResult::tap);
  EXPECT_THAT(mlp->note, testing::HasSubstr("held against the oracle"));
}

TEST(Forced, TowersAreStepped) {
  const Forced forced = Forcing("e2b-media", "picture").run("reference+fault=vision-gelu-erf");
  const std::vector<std::string> names = wrong(forced.ops);
  ASSERT_FALSE(names.empty());
  EXPECT_EQ(names.front(), "vision.layer.00.mlp");
}

}  // namespace
}  // namespace assay
