// What goldens cannot show of media in a batch: prompts so long that their images lie in different pieces of a call.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/tolerance.h"
#include "engine/cpu/engine.h"
#include "engine/cpu/text.h"
#include "model_of_test.h"
#include "reference/reference.h"

namespace assay::cpu {
namespace {

class Taken : public TapSink {
 public:
  explicit Taken(const Plan& plan) : TapSink(deepest(plan)) {
    for (const Tap tap : {Tap::embed, Tap::logits}) want({tap, -1});
  }
  void take(TapId id, Rows<const float> rows) override { of[id.name()].assign(rows.all().begin(), rows.all().end()); }
  std::map<std::string, std::vector<float>> of;
};

/// Images of one soft token each, all of another brightness.
std::vector<NamedTensor> images(const Plan& plan, int count) {
  const std::int64_t patches = std::int64_t{plan.vision->pool} * plan.vision->pool;
  std::vector<float> pixels;
  std::vector<std::int64_t> positions;
  for (int i = 0; i < count; ++i)
    for (int patch = 0; patch < patches; ++patch) {
      for (int value = 0; value < plan.vision->patch_values; ++value)
        pixels.push_back(float((i * 5 + patch * (i + 2) + value * 3) % 17) / 16);
      positions.insert(positions.end(), {patch % plan.vision->pool, patch / plan.vision->pool});
    }
  return {{"pixel_values", Tensor::own({count, patches, plan.vision->patch_values}, std::move(pixels))},
          {"image_position_ids", Tensor::own({count, patches, 2}, std::move(positions))}};
}

TEST(CpuMedia, ARowsPlaceholdersTakeItsOwnImagesWhereverACallIsCut) {
  constexpr int kBatch = 2, kTokens = 320;  // more than one arena's rows
  std::vector<std::int64_t> ids;
  for (int i = 0; i < kBatch * kTokens; ++i) ids.push_back(i * 37 % 250 + 3);
  for (const int at : {200, 310, kTokens + 10, kTokens + 250}) ids[std::size_t(at)] = kTestImage;
  const Checkpoint checkpoint = media_checkpoint();
  const std::vector<NamedTensor> media = images(checkpoint.plan, 4);
  const auto run = [&](const Engine& engine) {
    Taken taken(checkpoint.plan);
    const auto session = engine.open(checkpoint).value();
    const auto done =
        session->forward({.ids = {ids.data(), kBatch, kTokens}, .mask = {}, .more = media, .logit_rows = 1}, taken);
    EXPECT_TRUE(done) << done.error().message();
    return taken.of;
  };
  const auto actual = run(cpu_engine({})), expected = run(reference_engine());
  const Tolerance allowed = fp32_engine();
  for (const auto& [tap, values] : expected) {
    ASSERT_EQ(actual.at(tap).size(), values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(actual.at(tap)[i], values[i], allowed.atol + allowed.rtol * std::abs(values[i])) << tap << ", " << i;
  }
}

TEST(CpuMedia, WhatAPromptHasLeftOfItsMediaIsForgottenWithIt) {
  TextDecoder decoder = TextDecoder::open(media_checkpoint(), {.threads = 1}).value();
  const Plan& plan = decoder.plan();
  Memory memory = decoder.make_memory();
  memory.soft.give(SoftTokens::image, std::vector<float>(std::size_t(plan.hidden)), plan.hidden);
  const std::vector<std::int64_t> two(2, plan.placeholders.image.value());
  EXPECT_FALSE(memory.soft.check(plan, two)) << "one is there";
  decoder.reset(memory, 2);
  EXPECT_TRUE(memory.soft.check(plan, two)) << "none is: these are words that were generated";
}

}  // namespace
}  // namespace assay::cpu
