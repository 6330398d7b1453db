// Packing weights: small blocks worked out by hand, what rounding may cost, and which tensors are packed at all.
#include "model/quantise.h"

#include <array>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/widen.h"

namespace assay {
namespace {

using testing::Each;

template <std::size_t n, class Make>
std::array<float, n> values(Make make) {
  std::array<float, n> x;
  for (std::size_t i = 0; i < n; ++i) x[i] = make(int(i));
  return x;
}

TEST(Quantise, Q8_0RoundsHalvesAwayFromZero) {
  BlockQ8_0 block;
  quantise(values<32>([](int i) { return i == 0 ? 127.0F : i == 1 ? 2.5F : i == 2 ? -2.5F : 0.25F; }), block);
  EXPECT_EQ(widen_f16(block.d), 1);
  EXPECT_EQ(block.q[0], 127);
  EXPECT_EQ(block.q[1], 3);
  EXPECT_EQ(block.q[2], -3);
  EXPECT_EQ(block.q[3], 0);
}

TEST(Quantise, Q4_0GivesItsExtremeTheEndOfTheScale) {
  BlockQ4_0 block;
  quantise(values<32>([](int i) { return float(i == 5 ? 8 : i == 21 ? -3 : i == 6 ? -8 : 0); }), block);
  EXPECT_EQ(widen_f16(block.d), -1);  // 8, the first of two as large, becomes nibble 0
  EXPECT_EQ(block.q[5], 0 | (11 << 4));
  EXPECT_EQ(block.q[6] & 0xf, 15);  // -8 would be 16
  EXPECT_EQ(block.q[0], 0x88);
}

TEST(Quantise, Q6_KStaysWithinHalfAStep) {
  const auto x = values<256>([](int i) { return std::sin(float(i)) * (i / 16 == 3 ? 0.1F : 1.0F); });
  BlockQ6K block;
  quantise(x, block);
  std::array<float, 256> out;
  dequantise(block, out);
  for (std::size_t i = 0; i < 256; ++i) {
    const float step = widen_f16(block.d) * float(block.scale[i / 16]);
    if (x[i] / step <= 31.5F && x[i] / step >= -32.5F)  // what lies beyond the ends of the scale is cut
      EXPECT_LE(std::abs(out[i] - x[i]), 0.501F * std::abs(step)) << i;
    else
      EXPECT_LE(std::abs(out[i] - x[i]), 1.25F * std::abs(step)) << i;
  }
}

TEST(Quantise, ZerosStayZeros) {
  std::array<float, 256> zeros{}, out;
  BlockQ8_0 q8;
  BlockQ4_0 q4;
  BlockQ6K q6;
  out.fill(1);
  quantise(std::span(zeros).first<32>(), q8);
  dequantise(q8, std::span(out).first<32>());
  quantise(std::span(zeros).first<32>(), q4);
  dequantise(q4, std::span(out).subspan<32, 32>());
  EXPECT_THAT(std::span(out).first<64>(), Each(0));
  quantise(zeros, q6);
  dequantise(q6, out);
  EXPECT_THAT(out, Each(0));
}

TEST(Quantise, ChoosesAsLlamaQuantizeDoes) {
  const auto q4 = [](std::string_view name, std::int64_t columns = 256) {
    return quantised_dtype(name, columns, Dtype::q4_0);
  };
  EXPECT_EQ(q4("layers.3.self_attn.q_proj.weight"), Dtype::q4_0);
  EXPECT_EQ(q4("layers.3.experts.gate_up_proj"), Dtype::q4_0);
  EXPECT_EQ(q4("embed_tokens.weight"), Dtype::q6_k);
  EXPECT_EQ(q4("embed_tokens_per_layer.weight"), Dtype::q6_k);
  EXPECT_EQ(quantised_dtype("lm_head.weight", 64, Dtype::q8_0), Dtype::q8_0);
  EXPECT_EQ(q4("embed_tokens.weight", 96), std::nullopt);
  EXPECT_EQ(q4("layers.3.mlp.up_proj.weight", 33), std::nullopt);
  for (const char* kept : {"norm.weight", "layers.3.router.proj.weight", "per_layer_model_projection.weight",
                           "layers.3.input_layernorm.weight", "model.vision_tower.encoder.layers.0.mlp.up_proj.weight"})
    EXPECT_EQ(q4(kept), std::nullopt) << kept;
}

TEST(Quantise, OtherFormatsAreRefused) {
  Checkpoint checkpoint;
  EXPECT_FALSE(quantise(checkpoint, Dtype::q6_k));
  EXPECT_FALSE(weights_named("q5_1", "w"));
  EXPECT_EQ(weights_named("q4_0", "w").value(), Dtype::q4_0);
}

}  // namespace
}  // namespace assay
