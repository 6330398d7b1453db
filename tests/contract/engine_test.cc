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
  explicit Scripted(std::function<void(TapSink&)> script) : Session(plan_of_two_layers()), script_(std::move(script)) {}

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

}  // namespace
}  // namespace assay
