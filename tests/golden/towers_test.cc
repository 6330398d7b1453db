// Goldens with pictures, videos and sound: read back, refused, checked.
#include <algorithm>
#include <limits>

#include <gmock/gmock.h>

#include "golden/check.h"
#include "golden/tiny_golden.h"
#include "temporary.h"

namespace assay {

void PrintTo(const Finding& finding, std::ostream* out);  // check_test.cc

namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kMedia = 0;

auto finding(const std::string& at, const std::string& what) {
  return AllOf(Field(&Finding::at, at), Field(&Finding::what, HasSubstr(what)));
}

class Towers : public testing::TestWithParam<bool> {
 protected:
  Result<GoldenCase> written(const Bends& bends = {}) const {
    const Temporary folder;
    write_golden(folder / "golden.h5", golden_, bends);
    auto golden = Golden::open(folder / "golden.h5");
    if (!golden) return fail(std::move(golden).error());
    return golden->load("media");
  }
  std::vector<Finding> of_case() const { return check_case(golden_.plan, golden_.cases[kMedia]); }
  GoldenTap& tap(const std::string& name) { return golden_.tap(kMedia, name); }
  Tensor& input(const std::string& name) {
    for (NamedTensor& one : golden_.cases[kMedia].inputs)
      if (one.name == name) return one.tensor;
    throw std::runtime_error("no input " + name);
  }
  TinyGolden golden_ = tiny_media_golden(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Kinds, Towers, testing::Bool(),
                         [](const auto& kind) { return kind.param ? "unified" : "tower"; });

TEST_P(Towers, AreReadBack) {
  const auto read = written();
  ASSERT_TRUE(read) << read.error().message();
  const GoldenCase& wrote = golden_.cases[kMedia];
  ASSERT_EQ(read->taps.size(), wrote.taps.size());
  for (std::size_t i = 0; i < wrote.taps.size(); ++i) {
    EXPECT_EQ(read->taps[i].id.name(), wrote.taps[i].id.name()) << "in causal order";
    EXPECT_EQ(read->taps[i].rows, wrote.taps[i].rows) << wrote.taps[i].id.name();
    EXPECT_EQ(read->taps[i].values, wrote.taps[i].values);
  }
  EXPECT_EQ(read->taps.front().id.name(), "vision.patch_embed");
  const Tensor* pixels = find(read->inputs, "pixel_values");
  ASSERT_NE(pixels, nullptr);
  EXPECT_EQ(pixels->floats().value(), input("pixel_values").floats().value());
}

TEST_P(Towers, ArePartOfThePlan) {
  EXPECT_THAT(check_plan(golden_.info, golden_.plan), IsEmpty());
  const Temporary folder;
  write_golden(folder / "golden.h5", golden_);
  const auto golden = Golden::open(folder / "golden.h5");
  ASSERT_TRUE(golden) << golden.error().message();
  EXPECT_THAT(check_plan(golden->info(), golden_.plan), IsEmpty());
  golden_.info.vision.reset();
  EXPECT_THAT(check_plan(golden_.info, golden_.plan), ElementsAre(finding("/plan@vision", "the plan has 1")));
}

TEST_P(Towers, MissWhateverIsLeftOut) {
  const Temporary folder;
  for (const std::string& path : write_golden(folder / "golden.h5", golden_))
    if (path.starts_with("/plan/vision") || path.starts_with("/plan/audio")) {
      const auto bent = written({.without = {path}});
      if (path.find_first_of('@') == std::string::npos && path.ends_with("o")) continue;  // a golden without sound
      if (path == "/plan/vision") continue;
      EXPECT_FALSE(bent) << path;
    }
}

TEST_P(Towers, RefuseRowsThatAreNotThere) {
  const std::string at = "/cases/media/taps/vision.patch_embed";
  const std::vector<std::int64_t> rows = tap("vision.patch_embed").rows;
  EXPECT_FALSE(written({.without = {at + "@rows"}})) << "of a tower only some rows mean anything";
  auto beyond = rows;
  beyond.back() = 1000;
  const auto bent = written({.attributes = {{at + "@rows", beyond}}});
  ASSERT_FALSE(bent);
  EXPECT_THAT(bent.error().message(), HasSubstr("vision.patch_embed@rows"));
  const std::vector<float> one_row(std::size_t(golden_.plan.hidden));
  EXPECT_FALSE(
      written({.datasets = {{"/cases/media/taps/audio.projected", Tensor::own({1, golden_.plan.hidden}, one_row)}}}));
}

TEST_P(Towers, RefuseInputsOfAnotherShape) {
  const Tensor wrong = Tensor::own({1, 3}, std::vector<std::int64_t>{0, 0, 0});
  const auto bent = written({.datasets = {{"/cases/media/inputs/image_position_ids", wrong}}});
  ASSERT_FALSE(bent);
  EXPECT_THAT(bent.error().message(), HasSubstr("inputs/image_position_ids"));
}

TEST_P(Towers, PassTheChecks) {
  EXPECT_THAT(of_case(), IsEmpty());
  EXPECT_THAT(check_cases(golden_.plan, golden_.cases), IsEmpty());
}

TEST_P(Towers, AreCheckedForPadding) {
  GoldenTap& embed = tap("vision.patch_embed");
  embed.rows.back() += 1;  // the last real patch of a frame is followed by padding
  EXPECT_THAT(of_case(), ElementsAre(finding("/cases/media/taps/vision.patch_embed@rows", "padding")));
}

TEST_P(Towers, AreCheckedForZeros) {
  for (const char* name : {"vision.patch_embed", "vision.projected", "audio.mel", "audio.projected"}) {
    const std::vector<float> kept = tap(name).values;
    std::fill(tap(name).values.begin(), tap(name).values.end(), 0.0F);
    EXPECT_THAT(of_case(), Contains(finding("/cases/media/taps/" + std::string(name), "zeros")));
    tap(name).values = kept;
  }
}

TEST_P(Towers, AreCheckedForMissingTaps) {
  auto& taps = golden_.cases[kMedia].taps;
  for (const char* name : {"vision.projected", "audio.projected"}) {
    const auto found = std::find_if(taps.begin(), taps.end(), [&](const GoldenTap& t) { return t.id.name() == name; });
    taps.erase(found);
    EXPECT_THAT(of_case(), Contains(finding("/cases/media/taps/" + std::string(name), "missing")));
    EXPECT_THAT(check_cases(golden_.plan, golden_.cases), Contains(finding(name, "in no case")));
  }
}

TEST_P(Towers, AreCheckedForAllRowsOfALayersInput) {
  GoldenTap& embed = tap("vision.patch_embed");
  embed.values.resize(embed.values.size() / embed.rows.size() * (embed.rows.size() - 1));
  embed.rows.pop_back();
  embed.shape[0] -= 1;
  EXPECT_THAT(of_case(), IsEmpty()) << "a case may keep some";
  EXPECT_THAT(check_cases(golden_.plan, golden_.cases),
              ElementsAre(finding("vision.patch_embed", "all rows in no case")));
}

TEST_P(Towers, AreCheckedForPlaces) {
  auto ids = input("input_ids").integers().value();
  *std::find(ids.begin(), ids.end(), 42) = 1;
  input("input_ids") = Tensor::own({1, 20}, ids);
  EXPECT_THAT(of_case(), ElementsAre(finding("/cases/media/inputs/input_ids", "soft tokens of sound")));
}

TEST_P(Towers, AreCheckedForNumbers) {
  auto values = input("pixel_values").floats().value();
  const auto shape = input("pixel_values").shape;
  values[3] = std::numeric_limits<float>::quiet_NaN();
  input("pixel_values") = Tensor::own(shape, values);
  EXPECT_THAT(of_case(), ElementsAre(finding("/cases/media/inputs/pixel_values", "not finite")));
}

TEST(TowersPlan, IsComparedFieldByField) {
  const TinyGolden golden = tiny_media_golden(false);
  const auto vision = [&](const std::string& field, const auto& bend) {
    GoldenInfo info = golden.info;
    bend(*info.vision);
    const auto findings = check_plan(info, golden.plan);
    EXPECT_THAT(findings, testing::Not(IsEmpty())) << field;
    EXPECT_THAT(findings, Each(finding("/plan/vision@" + field, "transformers has")));
  };
  vision("kind", [](GoldenVision& v) { v.embedder = true, v.layer_norm_eps = 0; });
  vision("hidden", [](GoldenVision& v) { v.hidden = 10; });
  vision("patch_values", [](GoldenVision& v) { v.patch_values = 13; });
  vision("positions", [](GoldenVision& v) { v.positions = 16; });
  vision("pool", [](GoldenVision& v) { v.pool = 3; });
  vision("eps", [](GoldenVision& v) { v.eps = 1e-6; });
  vision("standardize", [](GoldenVision& v) { v.standardize = false; });
  vision("layers", [](GoldenVision& v) { v.layers = 3; });
  vision("heads", [](GoldenVision& v) { v.heads = 1; });
  vision("kv_heads", [](GoldenVision& v) { v.kv_heads = 2; });
  vision("head_dim", [](GoldenVision& v) { v.head_dim = 4; });
  vision("ffn_width", [](GoldenVision& v) { v.ffn_width = 12; });
  vision("clipped", [](GoldenVision& v) { v.clipped = false; });
  vision("inv_freq[1]", [](GoldenVision& v) { v.inv_freq[1] *= 1 + 1e-6F; });
  const auto audio = [&](const std::string& field, const auto& bend) {
    GoldenInfo info = golden.info;
    bend(*info.audio);
    const auto findings = check_plan(info, golden.plan);
    EXPECT_THAT(findings, testing::Not(IsEmpty())) << field;
    EXPECT_THAT(findings, Each(finding("/plan/audio@" + field, "transformers has")));
  };
  audio("eps", [](GoldenAudio& a) { a.eps = 1e-6; });
  audio("channels_0", [](GoldenAudio& a) { a.channels[0] = 9; });
  audio("channels_1", [](GoldenAudio& a) { a.channels[1] = 4; });
  audio("frequencies", [](GoldenAudio& a) { a.frequencies = 3; });
  audio("hidden", [](GoldenAudio& a) { a.hidden = 15; });
  audio("output", [](GoldenAudio& a) { a.output = 14; });
  audio("layers", [](GoldenAudio& a) { a.layers = 1; });
  audio("heads", [](GoldenAudio& a) { a.heads = 7; });
  audio("head_dim", [](GoldenAudio& a) { a.head_dim = 2; });
  audio("chunk", [](GoldenAudio& a) { a.chunk = 5; });
  audio("past", [](GoldenAudio& a) { a.past = 5; });
  audio("future", [](GoldenAudio& a) { a.future = 1; });
  audio("logit_cap", [](GoldenAudio& a) { a.logit_cap = 0; });
  audio("invalid_logit", [](GoldenAudio& a) { a.invalid_logit = -1; });
  audio("ffn_width", [](GoldenAudio& a) { a.ffn_width = 14; });
  audio("kernel", [](GoldenAudio& a) { a.kernel = 3; });
  audio("residual_weight", [](GoldenAudio& a) { a.residual_weight = 1; });
  audio("clamp", [](GoldenAudio& a) { a.clamp = 1; });
  audio("layer_eps", [](GoldenAudio& a) { a.layer_eps = 1e-4; });
  audio("conv_eps", [](GoldenAudio& a) { a.conv_eps = 1e-6; });
  audio("clipped", [](GoldenAudio& a) { a.clipped = false; });
}

}  // namespace
}  // namespace assay
