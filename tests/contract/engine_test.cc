#include "engine/engine.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::HasSubstr;

/// An engine that does whatever a test says.
class Scripted : public Session {
 public:
  explicit Scripted(std::function<void(TapSink&)> script, Plan plan = plan_of_two_layers())
      : Session(std::move(plan)), script_(std::move(script)) {}

  static Plan plan_of_two_layers() {
    Plan plan;
    plan.hidden = 3;
    plan.vocab = 5;
    plan.placeholder_ids = {900};
    plan.layers.resize(2);
    for (LayerPlan& layer : plan.layers) layer.q_heads = layer.kv_heads = layer.head_dim = 1;
    return plan;
  }

 protected:
  Result<void> do_forward(const Forward&, TapSink& taps) override {
    script_(taps);
    return {};
  }

 private:
  std::function<void(TapSink&)> script_;
};

class Ignoring : public TapSink {
 public:
  Ignoring() : TapSink(2) { want({Tap::out, 1}); }
  void take(TapId, Rows<const float>) override {}
};

Result<void> run(std::function<void(TapSink&)> script, Forward call) {
  Ignoring taps;
  Scripted session(std::move(script));
  return session.forward(call, taps);
}

const std::vector<std::int64_t> kIds = {1, 2};
const std::vector<float> kValues(30);
const Forward kCall{.ids = {kIds.data(), 1, 2}, .mask = {}, .more = {}};

void offer(TapSink& taps, int rows, int cols) {
  taps.offer(Tap::out, 1, [&] { return Rows<const float>{kValues.data(), rows, cols}; });
}

TEST(Contract, AcceptsARightTap) {
  EXPECT_TRUE(run([](TapSink& taps) { offer(taps, 2, 3); }, kCall));
}

TEST(Contract, RefusesAWrongShape) {
  const auto done = run([](TapSink& taps) { offer(taps, 2, 4); }, kCall);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, Failure::bad_output);
  EXPECT_THAT(done.error().message(), HasSubstr("text.layer.01.out: expected [2, 3], found [2, 4]"));
}

TEST(Contract, RefusesATapTwiceOrNever) {
  const auto twice = run([](TapSink& taps) { offer(taps, 2, 3), offer(taps, 2, 3); }, kCall);
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message(), HasSubstr("a second time"));
  const auto never = run([](TapSink&) {}, kCall);
  ASSERT_FALSE(never);
  EXPECT_THAT(never.error().message(), HasSubstr("found never"));
}

TEST(Contract, RefusesArgumentsBeforeTheEngineSeesThem) {
  const auto none = [](TapSink&) { FAIL() << "the engine was called"; };
  EXPECT_FALSE(run(none, {.ids = {}, .mask = {}, .more = {}}));
  for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{5}, std::int64_t{1} << 40})
    EXPECT_THAT(run(none, {.ids = {&id, 1, 1}, .mask = {}, .more = {}}).error().message(), HasSubstr("input_ids"));
  const std::vector<std::int64_t> mask = {1};
  EXPECT_THAT(run(none, {.ids = kCall.ids, .mask = {mask.data(), 1, 1}, .more = {}}).error().message(),
              HasSubstr("attention_mask"));
  EXPECT_THAT(run(none, {.ids = kCall.ids, .mask = {}, .more = {}, .logit_rows = 3}).error().message(),
              HasSubstr("logit_rows"));
}

TEST(Contract, LetsPlaceholdersLieBeyondTheVocabulary) {
  const std::int64_t id = 900;
  EXPECT_TRUE(run([](TapSink& taps) { offer(taps, 1, 3); }, {.ids = {&id, 1, 1}, .mask = {}, .more = {}}));
}

TEST(Contract, StepAndTruncateAreUnsupportedUnlessImplemented) {
  Ignoring taps;
  Scripted session([](TapSink&) {});
  EXPECT_EQ(session.step({Tap::out, 1}, {}, taps).error().kind, Failure::unsupported);
  EXPECT_EQ(session.step({Tap::out, 7}, {}, taps).error().kind, Failure::bad_input);
  EXPECT_EQ(session.truncate({}).error().kind, Failure::unsupported);
}

TEST(Contract, AsksForTowersTapsWithMediaAlone) {
  class Seeing : public Scripted {
   public:
    explicit Seeing(int rows) : Scripted([](TapSink&) {}, with_vision()), rows_(rows) {}
    static Plan with_vision() {
      Plan plan = plan_of_two_layers();
      plan.placeholders.image = 900;
      plan.vision = VisionPlan{.patch_values = 1, .hidden = 2, .positions = 9, .pool = 3};
      return plan;
    }

   protected:
    Result<void> do_forward(const Forward&, TapSink& taps) override {
      taps.offer(Tap::vision_patch_embed, -1, [&] { return Rows<const float>{kValues.data(), rows_, 2}; });
      return {};
    }

   private:
    int rows_;
  };
  class Wanting : public TapSink {
   public:
    Wanting() : TapSink(2) { want({Tap::vision_patch_embed, -1}); }
    void take(TapId, Rows<const float>) override { ++taken; }
    int taken = 0;
  } taps;
  std::vector<std::int64_t> grid;
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 3; ++x) grid.insert(grid.end(), {x, y});
  const std::vector<NamedTensor> media = {{"pixel_values", Tensor::own({1, 9, 1}, std::vector<float>(9))},
                                          {"image_position_ids", Tensor::own({1, 9, 2}, std::move(grid))}};
  const std::vector<std::int64_t> ids = {1, 900};
  const auto forward = [&](int rows, std::span<const NamedTensor> more, std::size_t tokens, Cache cache) {
    const auto done =
        Seeing(rows).forward({.ids = {ids.data(), 1, int(tokens)}, .mask = {}, .more = more, .cache = cache}, taps);
    return done ? std::string() : done.error().message();
  };
  EXPECT_EQ(forward(9, media, 2, Cache::none), "");
  EXPECT_EQ(taps.taken, 1);
  EXPECT_THAT(forward(8, media, 2, Cache::none), HasSubstr("vision.patch_embed: expected [9, 2], found [8, 2]"));
  EXPECT_EQ(forward(0, {}, 2, Cache::none), "") << "without media there is nothing to offer";
  EXPECT_EQ(taps.taken, 1);
  EXPECT_EQ(forward(9, media, 1, Cache::fresh), "") << "the placeholder may come in the next piece";
  EXPECT_THAT(forward(9, media, 1, Cache::none), HasSubstr("input_ids: expected 1 image placeholders"));
  EXPECT_THAT(forward(9, media, 2, Cache::extend), HasSubstr("cache: expected media with the first call"));
}

}  // namespace
}  // namespace assay
