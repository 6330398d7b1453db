// Engines that choose other experts: what rounding explains is judged with those experts, all else fails, and nothing
// that goes wrong behind such a choice gets away. The engines are the oracle, bent, on committed goldens.
#include "harness/verify/other_experts.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/verify/verify_case.h"
#include "reference/parts.h"
#include "reference/reference.h"
#include "reference/session.h"

namespace assay {
namespace {

using reference::Grid;
using reference::Layer;
using testing::HasSubstr;

const std::filesystem::path kData = ASSAY_SOURCE_DIR "/golden/data";

using Bend = std::function<void(reference::Parts&)>;

Engine bent(std::string arithmetic, const Bend& bend) {
  Engine engine = reference_engine();
  engine.can.arithmetic = std::move(arithmetic);
  engine.open = [bend](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    ASSAY_TRY(parts, reference::assemble(checkpoint));
    bend(parts);
    return reference::make_session(std::move(parts));
  };
  return engine;
}

class OtherExpertsOfAGolden : public testing::Test {
 protected:
  OtherExpertsOfAGolden() {
    const std::vector<GoldenEntry> goldens = list_goldens(kData).value();
    const auto entry = std::ranges::find(goldens, std::string("26b-a4b-media"), &GoldenEntry::name);
    if (entry == goldens.end()) throw std::runtime_error("no golden 26b-a4b-media");
    checkpoint_ = open_checkpoint(*entry).value();
    golden_ = Golden::open(entry->file).value().load("picture").value();
    inputs_ = CaseInputs::from(golden_.inputs, "picture").value();
  }

  PathResult verdict_on(const Engine& engine) const {
    const CaseUnderTest test{{"bent", "26b-a4b-media", "26B-A4B", golden_.name}, engine, checkpoint_, golden_, inputs_};
    return verify_case(test, std::vector<Path>{{Path::prefill}}, {}).front();
  }

  /// Takes the best unchosen expert instead of the last chosen one, in the row of the prompt and of layer `layer` where
  /// the gap between the two is the smallest, or the widest.
  static Bend swap(int layer, bool smallest) {
    return [=](reference::Parts& parts) {
      parts.layers[std::size_t(layer)].ops.choose = [=](const Layer& self, Rows<const float> probs) {
        const auto used = std::size_t(self.plan.experts->used);
        Grid chosen = reference::layer_ops().choose(self, probs);
        if (probs.rows == 1) return chosen;  // a generated token
        int row = -1;
        double best = 0;
        std::vector<std::size_t> order(std::size_t(probs.cols)), at;
        for (int r = 0; r < probs.rows; ++r) {
          for (std::size_t e = 0; e < order.size(); ++e) order[e] = e;
          std::ranges::stable_sort(order,
                                   [&](std::size_t a, std::size_t b) { return probs.row(r)[a] > probs.row(r)[b]; });
          const double gap = double{probs.row(r)[order[used - 1]]} - probs.row(r)[order[used]];
          if (row >= 0 && (smallest ? gap >= best : gap <= best)) continue;
          row = r;
          best = gap;
          at = order;
        }
        std::swap(at[used - 1], at[used]);
        double sum = 0;
        for (std::size_t i = 0; i < used; ++i) sum += probs.row(row)[at[i]];
        std::ranges::fill(chosen.row(row), 0.0F);
        for (std::size_t i = 0; i < used; ++i)
          chosen.row(row)[at[i]] = float(probs.row(row)[at[i]] / sum) * self.weights.per_expert_scale[at[i]];
        return chosen;
      };
    };
  }

  static constexpr int kLayer = 3;  // the golden's closest choice of this case is there

  Checkpoint checkpoint_;
  GoldenCase golden_;
  CaseInputs inputs_;
};

TEST_F(OtherExpertsOfAGolden, TheCloseChoiceIsJudgedByTheOracleThatChoosesSo) {
  const PathResult result = verdict_on(bent("bf16", swap(kLayer, true)));
  EXPECT_EQ(result.verdict, Verdict::pass) << (first_failure(result) ? first_failure(result)->tap : "");
  EXPECT_THAT(result.note, HasSubstr("other experts in"));
  // All else is exact, so what is compared with must be the oracle's own numbers and nobody's tolerance.
  for (const TapResult& tap : result.taps) EXPECT_LE(tap.stats.max_abs, 5e-5) << tap.tap;
}

TEST_F(OtherExpertsOfAGolden, IsAFailureInFp32) {
  const PathResult result = verdict_on(bent("fp32", swap(kLayer, true)));
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_EQ(result.note, "");
}

TEST_F(OtherExpertsOfAGolden, AChoiceThatNoRoundingExplainsFails) {
  const PathResult result = verdict_on(bent("bf16", swap(kLayer, false)));
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
}

TEST_F(OtherExpertsOfAGolden, AFaultBehindACloseChoiceIsFound) {
  const Engine engine = bent("bf16", [](reference::Parts& parts) {
    swap(kLayer, true)(parts);
    auto& experts = parts.layers[kLayer].ops.experts;
    experts = [own = experts](const Layer& self, Rows<const float> post_attn, Rows<const float> chosen) {
      Grid y = own(self, post_attn, chosen);
      for (float& v : y.values) v *= 1.3F;
      return y;
    };
  });
  const PathResult result = verdict_on(engine);
  EXPECT_EQ(result.verdict, Verdict::fail_numeric);
  EXPECT_THAT(result.note, HasSubstr("other experts in"));
  EXPECT_EQ(first_failure(result)->tap, "text.layer.03.experts");
}

TEST_F(OtherExpertsOfAGolden, AnEngineThatDoesNotShowItsChoiceIsAmbiguous) {
  Engine engine = bent("bf16", [](reference::Parts& parts) {
    swap(kLayer, true)(parts);
    parts.layers.back().weights.layer_scalar *= 2;  // more than any budget
  });
  engine.can.taps = {"text.layer.00.*"};
  const PathResult unsure = verdict_on(engine);
  EXPECT_EQ(unsure.verdict, Verdict::unsupported);
  EXPECT_THAT(unsure.note, HasSubstr("ambiguous"));

  engine = bent("bf16", [](reference::Parts& parts) {
    for (float& weight : parts.layers[0].weights.q_norm) weight *= 2;
  });
  engine.can.taps = {"text.layer.00.*"};
  const PathResult wrong = verdict_on(engine);
  EXPECT_EQ(wrong.verdict, Verdict::fail_numeric) << "before the first router nothing is ambiguous";
  EXPECT_EQ(first_failure(wrong)->tap, "text.layer.00.attn.q");
}

}  // namespace
}  // namespace assay
