// What engines say that they compute in.
#include "harness/judge/arithmetic.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Arithmetic, ReadsActivationsAndCaches) {
  const auto mixed = Arithmetic::parse("int8+kv=q8_0");
  ASSERT_TRUE(mixed);
  EXPECT_EQ(mixed->acts, "int8");
  EXPECT_EQ(mixed->kv, "q8_0");
  EXPECT_FALSE(mixed->is_fp32());
  EXPECT_TRUE(Arithmetic::parse("fp32")->is_fp32());
  EXPECT_FALSE(Arithmetic::parse("fp32+kv=bf16")->is_fp32());
}

TEST(Arithmetic, PackedWeightsMeanInt8Activations) {
  EXPECT_EQ(Arithmetic::parse("q4_0")->acts, "int8");
  EXPECT_EQ(Arithmetic::parse("q8_0+kv=fp16")->acts, "int8");
}

TEST(Arithmetic, ACacheOfTheActivationsTypeLosesNothingMore) {
  EXPECT_EQ(Arithmetic::parse("bf16+kv=bf16")->kv, "");
  EXPECT_EQ(Arithmetic::parse("bf16+kv=fp16")->kv, "fp16");
}

TEST(Arithmetic, RefusesWhatNobodyMeasured) {
  for (const char* text : {"", "fp8", "fp32+kv=fp32", "fp32+kv=q4_0", "kv=bf16", "fp32+kv=bf16+kv=bf16"})
    EXPECT_FALSE(Arithmetic::parse(text)) << text;
}

TEST(ArithmeticNoise, ActivationsAndCacheAddInSquares) {
  GoldenTap tap{.id = {Tap::attn_ctx, 0}, .shape = {}, .rows = {}, .values = {}};
  tap.noise_fp32 = 1e-7;
  tap.noise_bf16 = 3;
  tap.noise_bf16_rms = 0.6;
  tap.noise_int8 = std::nan("");
  tap.losses = {{"kv_q8_0", {.most = 4, .rms = 0.8}},
                {"fp16", {.most = 0.5, .rms = 0.25}}};  // no bf16: golden.h5's holds
  const auto of = [&](const char* text) { return noise(tap, *Arithmetic::parse(text)); };
  EXPECT_EQ(of("fp32")->most, 1e-7);
  EXPECT_EQ(of("bf16")->most, 3);
  EXPECT_EQ(of("fp16")->rms, 0.25);
  EXPECT_EQ(of("fp32+kv=q8_0")->most, 4);
  EXPECT_DOUBLE_EQ(of("bf16+kv=q8_0")->most, 5);
  EXPECT_DOUBLE_EQ(of("bf16+kv=q8_0")->rms, 1);
  EXPECT_FALSE(of("int8"));
  tap.losses.emplace_back("bf16", Noise{.most = 7, .rms = 0.1});
  EXPECT_EQ(of("bf16")->rms, 0.1) << "several runs say more than one";
  tap.losses.pop_back();
  EXPECT_FALSE(of("int8+kv=q8_0")) << "half of it is not known";
  tap.noise_int8 = 30;
  tap.noise_int8_rms = 6;
  EXPECT_EQ(of("int8")->most, 30);
  tap.losses.emplace_back("int8", Noise{.most = 3, .rms = 0.6});
  EXPECT_EQ(of("int8")->most, 3) << "several runs say more than one";
  EXPECT_DOUBLE_EQ(of("int8+kv=q8_0")->most, 5);
  EXPECT_FALSE(of("fp32+kv=bf16"));
}

TEST(ArithmeticNoise, OfRoutersIsReadByLayer) {
  GoldenCase golden;
  golden.router_noise = {{"bf16", {std::nan(""), 3}}, {"kv_bf16", {std::nan(""), 4}}};
  const auto of = [&](const char* text, int layer) { return router_noise(golden, layer, *Arithmetic::parse(text)); };
  EXPECT_EQ(of("bf16", 1), 3);
  EXPECT_EQ(of("fp32+kv=bf16", 1), 4);
  EXPECT_FALSE(of("bf16", 0)) << "a layer without experts";
  EXPECT_FALSE(of("bf16", 2));
  EXPECT_FALSE(of("fp16", 1));
  EXPECT_FALSE(of("bf16+kv=q8_0", 1));
}

}  // namespace
}  // namespace assay
