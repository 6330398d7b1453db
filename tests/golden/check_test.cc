#include "golden/check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include "golden/tiny_golden.h"
#include "temporary.h"

namespace assay {

void PrintTo(const Finding& finding, std::ostream* out) { *out << finding.at << " " << finding.what; }

namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

enum { kBatch, kShort };

auto finding(const std::string& at, const std::string& what) {
  return AllOf(Field(&Finding::at, at), Field(&Finding::what, HasSubstr(what)));
}

class Check : public testing::Test {
 protected:
  std::vector<Finding> of_case(int which) const { return check_case(golden_.plan, golden_.cases[std::size_t(which)]); }
  std::vector<Finding> of_all() const { return check_cases(golden_.plan, golden_.cases); }
  GoldenCase& at(int which) { return golden_.cases[std::size_t(which)]; }
  GoldenTap& tap(int which, const std::string& name) { return golden_.tap(which, name); }
  TinyGolden golden_ = tiny_golden();
};

TEST_F(Check, FindsNothingInASoundGolden) {
  const Temporary folder;
  EXPECT_THAT(check_golden(folder / "data", write_data(folder / "data", golden_)), IsEmpty());
}

TEST_F(Check, ComparesEveryFactOfThePlan) {
  EXPECT_THAT(check_plan(golden_.info, golden_.plan), IsEmpty());
  const auto bent = [&](const auto& bend) {
    TinyGolden other = golden_;
    bend(other.info);
    return check_plan(other.info, other.plan);
  };
  EXPECT_THAT(bent([](GoldenInfo& i) { i.hidden = 13; }),
              ElementsAre(finding("/plan@hidden", "transformers has 13, the plan has 12")));
  EXPECT_THAT(bent([](GoldenInfo& i) { i.vocab = 24; }), ElementsAre(finding("/plan@vocab", "24")));
  EXPECT_THAT(bent([](GoldenInfo& i) { i.softcap = 0; }), ElementsAre(finding("/plan@softcap", "0")));
  EXPECT_THAT(bent([](GoldenInfo& i) { i.rms_norm_eps = 1e-5; }), ElementsAre(finding("/plan@rms_norm_eps", "e-06")));
  EXPECT_THAT(bent([](GoldenInfo& i) { i.layers.pop_back(); }),
              ElementsAre(finding("/plan@layers", "transformers has 3")));
  const auto layer = [&](const std::string& field, const auto& bend) {
    EXPECT_THAT(bent([&](GoldenInfo& i) { bend(i.layers[2]); }),
                ElementsAre(finding("/plan/layer.02@" + field, "transformers has")));
  };
  layer("attention", [](GoldenLayer& l) { l.attention = "full"; });
  layer("head_dim", [](GoldenLayer& l) { l.head_dim = 8; });
  layer("q_heads", [](GoldenLayer& l) { l.q_heads = 1; });
  layer("kv_heads", [](GoldenLayer& l) { l.kv_heads = 2; });
  layer("window", [](GoldenLayer& l) { l.window = 4; });
  layer("donor", [](GoldenLayer& l) { l.donor = 2; });
  layer("value_is_key", [](GoldenLayer& l) { l.value_is_key = true; });
  layer("ffn_width", [](GoldenLayer& l) { l.ffn_width = 20; });
  layer("ple_width", [](GoldenLayer& l) { l.ple_width = 0; });
  layer("experts", [](GoldenLayer& l) { l.experts = 6; });
  layer("experts_used", [](GoldenLayer& l) { l.experts_used = 1; });
  layer("expert_width", [](GoldenLayer& l) { l.expert_width = 9; });
  layer("inv_freq length", [](GoldenLayer& l) { l.inv_freq.pop_back(); });
  layer("inv_freq[1]", [](GoldenLayer& l) { l.inv_freq[1] *= 1 + 1e-6F; });
  EXPECT_THAT(bent([](GoldenInfo& i) { i.layers[2].inv_freq[1] = std::nextafter(i.layers[2].inv_freq[1], 1.0F); }),
              IsEmpty());
  EXPECT_THAT(bent([](GoldenInfo& i) { i.blocks = "beyond_window"; }), testing::SizeIs(4)) << "one a layer";
  EXPECT_THAT(
      bent([](GoldenInfo& i) { i.blocks = "inside_window"; }),
      ElementsAre(finding("/plan/layer.00@blocks", "inside_window"), finding("/plan/layer.02@blocks", "inside_window")))
      << "full layers stay causal";
}

TEST_F(Check, MissesTaps) {
  const auto without = [&](int which, TapId id) {
    std::erase_if(at(which).taps, [&](const GoldenTap& tap) { return tap.id == id; });
  };
  without(kShort, {Tap::out, 1});
  EXPECT_THAT(of_case(kShort), ElementsAre(finding("/cases/short/taps/text.layer.01.out", "is missing")));
  golden_ = tiny_golden();
  without(kShort, {Tap::post_attn, 1});
  EXPECT_THAT(of_case(kShort), IsEmpty()) << "from a layer's input the oracle makes the rest";
  EXPECT_THAT(of_all(), IsEmpty()) << "one case has it";
  without(kBatch, {Tap::post_attn, 1});
  EXPECT_THAT(of_all(), ElementsAre(finding("text.layer.01.post_attn", "is in no case")));
  golden_ = tiny_golden();
  for (const int which : {kShort, kBatch}) {
    const auto post_attn = [](const GoldenTap& tap) { return tap.id == TapId{Tap::post_attn, 1}; };
    std::ranges::find_if(at(which).taps, post_attn)->rows = {0};
  }
  EXPECT_THAT(of_all(), testing::Contains(finding("text.layer.01.post_attn", "keeps all rows in no case")));
  golden_ = tiny_golden();
  without(kShort, {Tap::mlp, 1});
  EXPECT_THAT(of_case(kShort), IsEmpty()) << "which other cases may have";
  without(kBatch, {Tap::mlp, 1});
  EXPECT_THAT(of_all(), ElementsAre(finding("text.layer.01.mlp", "is in no case")));
}

TEST_F(Check, KnowsWhichTapsTheModelHas) {
  GoldenTap extra = tap(kShort, "text.layer.00.attn.k");
  extra.id.layer = 2;  // takes layer 0's K
  at(kShort).taps.push_back(extra);
  EXPECT_THAT(of_case(kShort),
              ElementsAre(finding("/cases/short/taps/text.layer.02.attn.k", "is no tap of this model")));
}

TEST_F(Check, FindsWrongShapes) {
  tap(kShort, "text.norm").shape = {1, 6, 3, 4};
  tap(kShort, "text.layer.00.attn.q").shape = {3, 8};
  EXPECT_THAT(
      of_case(kShort),
      UnorderedElementsAre(finding("/cases/short/taps/text.norm", "has shape [1, 6, 3, 4], expected [1, 6, 12]"),
                           finding("/cases/short/taps/text.layer.00.attn.q", "expected [3, 2, 4]")));
}

TEST_F(Check, NeedsAllRowsForTeacherForcing) {
  for (const std::string name : {"text.embed", "text.ple", "text.layer.00.out", "text.layer.00.post_attn",
                                 "text.layer.01.attn.k_rope", "text.layer.01.attn.v"}) {
    golden_ = tiny_golden();
    GoldenTap& one = tap(kShort, name);
    one.rows = {0, 1, 2, 3, 4, 5};
    one.shape.erase(one.shape.begin());
    one.shape[0] = 6;
    EXPECT_THAT(of_case(kShort), ElementsAre(finding("/cases/short/taps/" + name + "@rows", "teacher forcing")));
  }
}

TEST_F(Check, FindsWrongPaths) {
  const auto with = [&](int which, std::vector<std::string> paths) {
    at(which).paths = std::move(paths);
    return of_case(which);
  };
  EXPECT_THAT(with(kShort, {}), ElementsAre(finding("/cases/short@paths", "is empty")));
  EXPECT_THAT(with(kShort, {"prefil"}), ElementsAre(finding("/cases/short@paths", "'prefil', which is no path")));
  EXPECT_THAT(with(kShort, {"decode", "decode"}), ElementsAre(finding("/cases/short@paths", "decode twice")));
  EXPECT_THAT(with(kShort, {"batched"}), ElementsAre(finding("/cases/short@paths", "has one row")));
  EXPECT_THAT(with(kBatch, {"prefill"}), ElementsAre(finding("/cases/batch@paths", "is not 'batched'")));
}

TEST_F(Check, FindsAMaskThatIsNone) {
  at(kShort).inputs[0].tensor = Tensor::own({1, 6}, std::vector<std::int64_t>{1, 1, 1, 1, 1, 2});
  EXPECT_THAT(of_case(kShort), ElementsAre(finding("/cases/short/inputs/attention_mask", "other than 0 and 1")));
  at(kShort).inputs[0].tensor = Tensor::own({1, 5}, std::vector<std::int64_t>{1, 1, 1, 1, 1});
  EXPECT_THAT(of_case(kShort), ElementsAre(finding("/cases/short/inputs/attention_mask", "input_ids' shape")));
}

TEST_F(Check, FindsNoise) {
  tap(kShort, "text.norm").noise_excess = 2.4e-5;
  EXPECT_THAT(of_case(kShort), IsEmpty());
  tap(kShort, "text.norm").noise_excess = 2.6e-5;
  tap(kShort, "text.embed").noise_bf16 = NAN;
  EXPECT_THAT(of_case(kShort),
              UnorderedElementsAre(finding("/cases/short/taps/text.norm@noise_excess", "more than 2.5e-05"),
                                   finding("/cases/short/taps/text.embed@noise_bf16", "was not measured")));
}

TEST_F(Check, FindsNarrowMargins) {
  tap(kShort, "text.layer.01.router.probs").noise_fp32 = 2e-4;
  at(kShort).generated_margin = 9e-6;
  EXPECT_THAT(of_case(kShort),
              UnorderedElementsAre(finding("/cases/short/taps/text.layer.01.router.topk@margin", "is 0.001, less than"),
                                   finding("/cases/short/outputs/generated_ids@margin", "is 9e-06, less than")));
  golden_ = tiny_golden();
  tap(kShort, "text.layer.01.router.topk").margin = std::numeric_limits<double>::infinity();  // every expert is used
  EXPECT_THAT(of_case(kShort), IsEmpty());
}

TEST_F(Check, FindsWhatIsNotFiniteInRealRows) {
  tap(kBatch, "text.layer.02.mlp").values[0] = NAN;  // row 0 is padding
  EXPECT_THAT(of_case(kBatch), IsEmpty());
  tap(kBatch, "text.layer.02.mlp").values[12] = INFINITY;
  EXPECT_THAT(of_case(kBatch), ElementsAre(finding("/cases/batch/taps/text.layer.02.mlp", "is not finite in row 1")));
}

TEST_F(Check, FindsWhatZerosWouldMeet) {
  for (float& value : tap(kShort, "text.layer.01.attn.out").values) value *= 1e-6F;
  EXPECT_THAT(of_case(kShort), Contains(finding("/cases/short/taps/text.layer.01.attn.out", "would be met by zeros")));
}

TEST_F(Check, FindsRowsThatAreAllAlike) {
  GoldenTap& mlp = tap(kShort, "text.layer.01.mlp");
  for (std::size_t i = 12; i < mlp.values.size(); ++i) mlp.values[i] = mlp.values[i - 12];
  EXPECT_THAT(of_case(kShort),
              ElementsAre(finding("/cases/short/taps/text.layer.01.mlp", "the same values in every row")));
}

TEST_F(Check, FindsTwoTokensThatWereNeverToldApart) {
  GoldenTap& out = tap(kShort, "text.layer.03.out");
  std::copy_n(out.values.begin() + 12, 12, out.values.begin() + 48);
  EXPECT_THAT(of_case(kShort), ElementsAre(finding("/cases/short/taps/text.layer.03.out", "in rows 1 and 4")));
  // Unless they saw one and the same token only: then they must agree.
  for (const int row : {1, 4}) std::copy_n(out.values.begin(), 12, out.values.begin() + 12 * row);
  at(kShort).inputs[1].tensor = Tensor::own({1, 6}, std::vector<std::int64_t>{9, 9, 9, 9, 9, 8});
  EXPECT_THAT(of_case(kShort), IsEmpty());
}

TEST_F(Check, FindsOutputsThatContradictTheTaps) {
  at(kShort).logits[3] += 1e-3F;
  at(kShort).generated_ids[0] = (at(kShort).generated_ids[0] + 1) % 23;
  EXPECT_THAT(of_case(kShort), UnorderedElementsAre(finding("/cases/short/outputs/logits", "is not the last row"),
                                                    finding("/cases/short/outputs/generated_ids",
                                                            "where the largest logit is that of")));
}

TEST_F(Check, FindsTapsThatTheirInputWouldMeet) {
  EXPECT_THAT(of_all(), IsEmpty());
  const auto copy = [&](const std::string& from, const std::string& to) {
    golden_ = tiny_golden();
    for (const int which : {kBatch, kShort}) {
      GoldenTap& target = tap(which, to);
      target.values = tap(which, from).values;
      if (target.id.tap != Tap::attn_ctx) target.shape = tap(which, from).shape;
      target.rows = tap(which, from).rows;
    }
    return of_all();
  };
  EXPECT_THAT(copy("text.layer.00.attn.q", "text.layer.00.attn.q_rope"),
              ElementsAre(finding("text.layer.00.attn.q_rope", "its op's own input, text.layer.00.attn.q")));
  EXPECT_THAT(copy("text.embed", "text.layer.00.post_attn"),
              ElementsAre(finding("text.layer.00.post_attn", "its op's own input, text.embed")));
  EXPECT_THAT(copy("text.layer.00.out", "text.layer.01.post_attn"),
              ElementsAre(finding("text.layer.01.post_attn", "its op's own input, text.layer.00.out")));
  EXPECT_THAT(copy("text.layer.03.out", "text.norm"),
              ElementsAre(finding("text.norm", "its op's own input, text.layer.03.out")));
  EXPECT_THAT(copy("text.layer.03.attn.q_rope", "text.layer.03.attn.ctx"),
              ElementsAre(finding("text.layer.03.attn.ctx", "its op's own input")));
}

TEST_F(Check, LetsOneCaseExposeForAll) {
  tap(kShort, "text.layer.00.post_attn").values = tap(kShort, "text.embed").values;  // `batch` still tells them apart
  EXPECT_THAT(of_all(), IsEmpty());
}

TEST_F(Check, FindsLayersThatAreTheSame) {
  for (const int which : {kBatch, kShort})
    tap(which, "text.layer.03.mlp").values = tap(which, "text.layer.01.mlp").values;
  EXPECT_THAT(of_all(), ElementsAre(finding("text.layer.03.mlp", "is the same as text.layer.01.mlp")));
}

TEST_F(Check, WantsGeneratedIdsThatVary) {
  for (GoldenCase& golden : golden_.cases) std::fill(golden.generated_ids.begin(), golden.generated_ids.end(), 5);
  EXPECT_THAT(of_all(), ElementsAre(finding("/cases", "in no case do the generated ids vary")));
  for (GoldenCase& golden : golden_.cases) {
    golden.generated_ids.clear();
    golden.generated = 0;
  }
  EXPECT_THAT(of_all(), ElementsAre(finding("/cases", "no case generates")));
}

TEST_F(Check, FindsWeightsThatExposeNothing) {
  const auto with = [&](const std::function<void(std::map<std::string, std::vector<float>>&)>& bend) {
    const Temporary folder;
    write_tiny_checkpoint(folder.path(), bend);
    return check_weights(Checkpoint::open(folder.path()).value());
  };
  EXPECT_THAT(with({}), IsEmpty());
  EXPECT_THAT(with([](auto& w) { w["norm.weight"].assign(12, 1.0F); }),
              ElementsAre(finding("norm.weight", "one value only")));
  EXPECT_THAT(with([](auto& w) { w["layers.1.layer_scalar"] = {1}; }),
              ElementsAre(finding("layers.1.layer_scalar", "identity value")));
  EXPECT_THAT(with([](auto& w) { std::fill_n(w["embed_tokens.weight"].begin(), 12, 0.0F); }),
              ElementsAre(finding("embed_tokens.weight", "one value only in row 0")));
  EXPECT_THAT(with([](auto& w) {
                auto& experts = w["layers.0.experts.down_proj"];
                std::copy_n(experts.begin(), 12 * 8, experts.begin() + 12 * 8 * 3);
              }),
              ElementsAre(finding("layers.0.experts.down_proj", "equal rows 0 and 3")));
  EXPECT_THAT(with([](auto& w) { w["layers.2.mlp.up_proj.weight"] = w["layers.2.mlp.gate_proj.weight"]; }),
              ElementsAre(finding("layers.2.mlp.up_proj.weight", "is the same as layers.2.mlp.gate_proj.weight")));
}

TEST_F(Check, TakesNothingUnhashed) {
  const Temporary folder;
  const GoldenEntry entry = write_data(folder / "data", golden_);
  put(entry.checkpoint / "extra.json", "{}");
  EXPECT_THAT(check_golden(folder / "data", entry),
              ElementsAre(Field(&Finding::what, HasSubstr("an entry in MANIFEST.json"))));
  write_manifest(folder / "data");
  EXPECT_THAT(check_golden(folder / "data", entry), IsEmpty()) << "a tokenizer or a README changes no number";
  put(entry.checkpoint / "config.json", bytes_of(entry.checkpoint / "config.json") + "\n");
  write_manifest(folder / "data");
  EXPECT_THAT(check_golden(folder / "data", entry),
              ElementsAre(Field(&Finding::what, HasSubstr("as the golden has it"))));
}

TEST_F(Check, ReportsWhatItCannotRead) {
  const Temporary folder;
  const GoldenEntry entry = write_data(folder / "data", golden_);
  write_golden(entry.file, golden_, {.without = {"/cases/batch@what", "/@seed"}});
  write_manifest(folder / "data");
  EXPECT_THAT(check_golden(folder / "data", entry),
              ElementsAre(Field(&Finding::what, HasSubstr("/@seed: expected an attribute"))));
  write_golden(entry.file, golden_, {.without = {"/cases/batch@what"}});
  write_manifest(folder / "data");
  EXPECT_THAT(check_golden(folder / "data", entry),
              Contains(Field(&Finding::what, HasSubstr("/cases/batch@what: expected an attribute"))));
  std::filesystem::remove(entry.checkpoint / "config.json");
  write_manifest(folder / "data");
  EXPECT_THAT(check_golden(folder / "data", entry), ElementsAre(Field(&Finding::what, HasSubstr("config.json"))));
}

}  // namespace
}  // namespace assay
