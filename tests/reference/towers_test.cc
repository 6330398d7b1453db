// The towers against transformers on tiny checkpoints (golden/generate/ops_towers.py): whole, and op by op from
// transformers' own inputs.
#include <algorithm>

#include <gmock/gmock.h>

#include "model/checkpoint.h"
#include "reference/audio_blocks.h"
#include "reference/ops/convolution.h"
#include "reference/ops/layer_norm.h"
#include "reference/parts.h"
#include "reference/session.h"
#include "support.h"

namespace assay::reference {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Keep : public TapSink {
 public:
  explicit Keep(const Plan& plan) : TapSink(deepest(plan)) {}
  std::vector<std::pair<TapId, std::vector<float>>> taken;

  void take(TapId id, Rows<const float> rows) override {
    taken.emplace_back(id, std::vector<float>(rows.data, rows.data + rows.size()));
  }
};

/// A tiny checkpoint, a forward's arguments and what transformers made of them.
struct Tiny {
  explicit Tiny(const std::string& name) : checkpoint(Checkpoint::open(kSource / "tests/data/towers" / name).value()) {
    const Safetensors file = Safetensors::open(kSource / "tests/data/towers" / name / "io.safetensors").value();
    for (const auto& [full, tensor] : file.tensors()) {
      const std::string rest = full.substr(full.find('/') + 1);
      if (full.starts_with("taps/"))
        taps.push_back({rest, tensor});
      else if (rest == "input_ids")
        ids = tensor.integers().value();
      else
        more.push_back({rest, tensor});
    }
  }

  std::unique_ptr<Session> open() const { return make_session(assemble(checkpoint).value()); }
  Forward call(std::size_t first, std::size_t count, Cache cache) const {
    return {.ids = {ids.data() + first, 1, int(count)}, .mask = {}, .more = media(first, count), .cache = cache};
  }
  const Tensor& tap(const std::string& name) const { return *find(taps, name); }
  std::vector<TapId> of_towers() const {
    std::vector<TapId> all = all_taps(checkpoint.plan);
    std::erase_if(all, [](TapId id) { return row_space(id.tap) == RowSpace::tokens; });
    return all;
  }

  Checkpoint checkpoint;
  std::vector<std::int64_t> ids;
  std::vector<NamedTensor> more, taps;

 private:
  /// Types by piece; media with the first.
  std::span<const NamedTensor> media(std::size_t first, std::size_t count) const {
    piece_ = first == 0 ? more : std::vector<NamedTensor>{};
    std::erase_if(piece_, [](const NamedTensor& t) { return t.name == "mm_token_type_ids"; });
    const auto types = find(more, "mm_token_type_ids")->integers().value();
    const auto from = types.begin() + std::ptrdiff_t(first);
    piece_.push_back({"mm_token_type_ids", Tensor::own({1, std::int64_t(count)},
                                                       std::vector<std::int64_t>(from, from + std::ptrdiff_t(count)))});
    return piece_;
  }
  mutable std::vector<NamedTensor> piece_;
};

class Towers : public ::testing::TestWithParam<const char*> {};

TEST_P(Towers, GiveEveryTapOfTransformers) {
  const Tiny tiny(GetParam());
  const auto session = tiny.open();
  Keep keep(tiny.checkpoint.plan);
  std::vector<TapId> wanted = tiny.of_towers();
  wanted.push_back({Tap::embed, -1});
  if (tiny.checkpoint.plan.ple_width > 0) wanted.push_back({Tap::ple, -1});  // of soft tokens, unscaled
  for (const TapId id : wanted) keep.want(id);
  const auto done = session->forward(tiny.call(0, tiny.ids.size(), Cache::none), keep);
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(keep.taken.size(), wanted.size());
  EXPECT_EQ(tiny.taps.size(), wanted.size()) << "transformers has as many";
  for (const auto& [id, values] : keep.taken) {
    SCOPED_TRACE(id.name());
    expect_near(tiny.tap(id.name()).floats().value(), values, fp32_engine());
  }
}

TEST_P(Towers, StepEachOpFromTransformersInputs) {
  const Tiny tiny(GetParam());
  const auto session = tiny.open();
  for (const TapId id : tiny.of_towers()) {
    SCOPED_TRACE(id.name());
    std::vector<NamedTensor> inputs = tiny.more;
    for (const NamedTensor& tap : tiny.taps)
      if (tap.name != id.name()) inputs.push_back(tap);
    Keep keep(tiny.checkpoint.plan);
    keep.want(id);
    const auto done = session->step(id, inputs, keep);
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_EQ(keep.taken.size(), 1U);
    expect_near(tiny.tap(id.name()).floats().value(), keep.taken[0].second, {.atol = 4e-6, .rtol = 4e-6});
  }
}

TEST_P(Towers, NameTheInputThatAStepLacks) {
  const Tiny tiny(GetParam());
  const auto session = tiny.open();
  for (const TapId id : tiny.of_towers()) {
    Keep keep(tiny.checkpoint.plan);
    keep.want(id);
    const auto done = session->step(id, {}, keep);
    ASSERT_FALSE(done) << id.name();
    EXPECT_EQ(done.error().kind, Failure::bad_input);
    EXPECT_FALSE(done.error().field.empty()) << id.name();
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Towers, testing::Values("clipped", "standardized", "encoder-free"),
                         [](const auto& test) { return test.index == 2 ? "encoder_free" : std::string(test.param); });

TEST(SoftTokens, GoOnWithTheCallsThatExtend) {
  const Tiny tiny("clipped");
  const auto session = tiny.open();
  std::vector<float> embeds;
  for (std::size_t first = 0; first < tiny.ids.size(); first += 3) {  // cuts inside pictures, films and clips
    Keep keep(tiny.checkpoint.plan);
    keep.want({Tap::embed, -1});
    const std::size_t count = std::min<std::size_t>(3, tiny.ids.size() - first);
    const auto done = session->forward(tiny.call(first, count, first == 0 ? Cache::fresh : Cache::extend), keep);
    ASSERT_TRUE(done) << done.error().message();
    embeds.insert(embeds.end(), keep.taken[0].second.begin(), keep.taken[0].second.end());
  }
  expect_near(tiny.tap("text.embed").floats().value(), embeds, fp32_engine());
}

/// The embeddings of a call of image placeholders after the whole prompt, or the error.
Result<std::vector<float>> after_the_prompt(const Tiny& tiny, Session& session, std::size_t count) {
  NoTaps none(deepest(tiny.checkpoint.plan));
  ASSAY_CHECK(session.forward(tiny.call(0, tiny.ids.size(), Cache::fresh), none));
  Keep keep(tiny.checkpoint.plan);
  keep.want({Tap::embed, -1});
  const std::vector<std::int64_t> more(count, *tiny.checkpoint.plan.placeholders.image);
  ASSAY_CHECK(
      session.forward({.ids = {more.data(), 1, int(count)}, .mask = {}, .more = {}, .cache = Cache::extend}, keep));
  return keep.taken[0].second;
}

TEST(SoftTokens, APlaceholderThatIsGeneratedIsThePadToken) {
  const Tiny tiny("clipped");
  const auto session = tiny.open();
  const auto found = after_the_prompt(tiny, *session, 1);
  ASSERT_TRUE(found) << found.error().message();
  const std::int64_t pad = tiny.checkpoint.plan.pad_id;
  EXPECT_EQ(*found, session->embed({&pad, 1}).value());
}

TEST(SoftTokens, MayNotRunOutInsideAPiece) {
  const Tiny tiny("clipped");
  const auto session = tiny.open();
  const std::int64_t image = *tiny.checkpoint.plan.placeholders.image;
  const std::size_t inside = std::size_t(std::ranges::find(tiny.ids, image) - tiny.ids.begin()) + 1;
  NoTaps none(deepest(tiny.checkpoint.plan));
  ASSERT_TRUE(session->forward(tiny.call(0, inside, Cache::fresh), none));
  const std::vector<std::int64_t> many(20, image);
  const auto done =
      session->forward({.ids = {many.data(), 1, 20}, .mask = {}, .more = {}, .cache = Cache::extend}, none);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message(), HasSubstr("input_ids: expected 5 image placeholders in all, found more"));
}

TEST(SoftTokens, BelongToTheirPrompt) {
  const Tiny tiny("clipped");
  const auto session = tiny.open();
  NoTaps none(deepest(tiny.checkpoint.plan));
  ASSERT_TRUE(session->forward(tiny.call(0, 2, Cache::fresh), none)) << "all soft tokens are left";
  const std::int64_t image = *tiny.checkpoint.plan.placeholders.image, pad = tiny.checkpoint.plan.pad_id;
  Keep keep(tiny.checkpoint.plan);
  keep.want({Tap::embed, -1});
  ASSERT_TRUE(session->forward({.ids = {&image, 1, 1}, .mask = {}, .more = {}, .cache = Cache::fresh}, keep));
  EXPECT_EQ(keep.taken[0].second, session->embed({&pad, 1}).value()) << "another prompt, without media";
}

TEST(LayerNorm, CentresAndScales) {
  Grid x(1, 4);
  x.values = {1, 3, 1, 3};
  layer_norm(x.view(), std::vector<float>{1, 1, 2, 2}, std::vector<float>{0, 0, 10, 10}, 0);
  EXPECT_THAT(x.values, ElementsAre(-1, 1, 8, 12));
}

TEST(Convolution, LooksBackOnly) {
  Grid x(4, 2);
  x.values = {1, 10, 2, 20, 3, 30, 4, 40};
  const Grid y = convolve_causal(x.view(), Weight::own(2, 2, {100, 1, 0, 1}));
  EXPECT_THAT(y.values, ElementsAre(1, 10, 102, 20, 203, 30, 304, 40));
}

TEST(Convolution, HalvesTimeAndFrequency) {
  Grid x(3, 3);
  x.values = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Grid sums = convolve_2d(x.view(), 1, Weight::own(1, 9, std::vector<float>(9, 1.0F)));
  EXPECT_EQ(sums.rows, 2);
  EXPECT_THAT(sums.values, ElementsAre(1 + 2 + 4 + 5, 2 + 3 + 5 + 6, 4 + 5 + 7 + 8, 5 + 6 + 8 + 9));
}

TEST(RelativeShift, IsTheDistanceWhereChunkAndPastAreOne) {
  const AudioLayerPlan plan{.chunk = 3, .past = 3};
  Grid products(3, plan.context() / 2 + 1);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < products.cols; ++j) products.row(i)[std::size_t(j)] = float(10 * i + j + 1);
  std::vector<float> bias(std::size_t(plan.context()));
  audio::relative_shift(plan, products.view(), 1, bias);
  EXPECT_THAT(bias, ElementsAre(0, 11, 12, 13, 14, 0));  // products[1][j - 1]
}

TEST(AudioVisible, IsPastAndFutureOfRealFrames) {
  const AudioLayerPlan plan{.past = 3, .future = 2};
  const Frames frames{1, 8, {1, 1, 1, 1, 1, 1, 0, 0}};
  std::vector<int> seen;
  for (int key = 0; key < 8; ++key)
    if (audio::visible(plan, frames, 0, 4, key)) seen.push_back(key);
  EXPECT_THAT(seen, ElementsAre(2, 3, 4, 5)) << "three back, itself included; one ahead";
  EXPECT_FALSE(audio::visible(plan, frames, 0, 5, 6)) << "padding";
}

}  // namespace
}  // namespace assay::reference
