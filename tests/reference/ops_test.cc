// The small ops: activation, softcap, embedding, linear, softmax, top-k.
#include <cmath>
#include <limits>

#include "reference/ops/activation.h"
#include "reference/ops/dot.h"
#include "reference/ops/embed.h"
#include "reference/ops/linear.h"
#include "reference/ops/softcap.h"
#include "reference/ops/softmax.h"
#include "reference/ops/top_k.h"
#include "support.h"

namespace assay::reference {

TEST(Activation, GeluTanhIsTransformers) {
  const OpData data("gelu_tanh/range");
  std::vector<float> x = data.floats("x");
  activate(x, Activation::gelu_tanh);
  expect_near(data.floats("y"), x);
}

TEST(Activation, KindsDiffer) {
  std::vector<float> tanh = {0.7F}, erf = {0.7F}, silu = {0.7F}, relu = {-0.7F};
  activate(tanh, Activation::gelu_tanh);
  activate(erf, Activation::gelu_erf);
  activate(silu, Activation::silu);
  activate(relu, Activation::relu);
  EXPECT_NEAR(erf[0], 0.7 * 0.7580363, 1e-6);  // 0.7 * Phi(0.7)
  EXPECT_GT(std::abs(tanh[0] - erf[0]), 1e-6);
  EXPECT_NEAR(silu[0], 0.7 / (1 + std::exp(-0.7)), 1e-6);
  EXPECT_EQ(relu[0], 0);
}

TEST(Softcap, IsTransformers) {
  for (const std::string& name : OpData::cases("softcap")) {
    const OpData data(name);
    std::vector<float> x = data.floats("x");
    softcap(x, float(data.number("cap")));
    expect_near(data.floats("y"), x);
  }
}

TEST(Embed, IsTransformers) {
  const OpData data("embedding/scaled");
  Grid out(int(data["ids"].shape[0]), int(data.number("hidden")));
  embed(data.integers("ids"), data.weight("table"), float(std::sqrt(data.number("hidden"))), out.view());
  expect_near(data.floats("y"), out.values);
}

TEST(Linear, AddsTheBiasAndReadsEveryDtype) {
  const std::vector<float> x = {1, 2, 3, 4};
  const std::vector<float> bias = {10, 20};
  // 1, -2, 0.5, 3 and 0, 1, 2, -1: exact in bf16 and in f16.
  const std::uint16_t bf16[] = {0x3f80, 0xc000, 0x3f00, 0x4040, 0x0000, 0x3f80, 0x4000, 0xbf80};
  const std::uint16_t f16[] = {0x3c00, 0xc000, 0x3800, 0x4200, 0x0000, 0x3c00, 0x4000, 0xbc00};
  const std::vector<float> expected = {1 - 4 + 1.5F + 12 + 10, 0 + 2 + 6 - 4 + 20};
  for (const auto& [dtype, bits] : {std::pair(Dtype::bf16, bf16), std::pair(Dtype::f16, f16)}) {
    const Weight w{.tensor = {.dtype = dtype, .shape = {2, 4}, .bytes = std::as_bytes(std::span(bits, 8)), .keep = {}},
                   .rows = 2,
                   .cols = 4};
    std::vector<float> y(2);
    linear({x.data(), 1, 4}, w, bias, {y.data(), 1, 2});
    EXPECT_EQ(y, expected) << name_of(dtype);
  }
}

TEST(Dot, SumsEveryLengthOnce) {
  for (std::size_t n = 0; n < 70; ++n) {
    std::vector<float> a(n), ones(n, 1.0F);
    double expected = 0;
    for (std::size_t i = 0; i < n; ++i) expected += a[i] = float(i + 1);
    EXPECT_EQ(dot(a, ones), expected) << n;
  }
}

TEST(Dot, KeepsWhatFp32WouldLose) {
  const std::vector<float> a = {1e8F, 1, -1e8F}, ones = {1, 1, 1};
  EXPECT_EQ(dot(a, ones), 1);
}

TEST(Softmax, LeavesOutWhatIsUnseen) {
  std::vector<float> x = {1, 100, 2};
  softmax(x, std::vector<char>{1, 0, 1});
  EXPECT_EQ(x[1], 0);
  EXPECT_NEAR(x[0], 1 / (1 + std::exp(1.0)), 1e-6);
  EXPECT_NEAR(x[0] + x[2], 1, 1e-6);
}

TEST(Softmax, SurvivesLargeScores) {
  std::vector<float> x = {1e4F, 1e4F - 1};
  softmax(x, {});
  EXPECT_NEAR(x[0], 1 / (1 + std::exp(-1.0)), 1e-6);
}

TEST(TopK, RenormalisesThenScales) {
  const std::vector<float> probs = {0.1F, 0.5F, 0.3F, 0.1F}, scales = {1, 2, 3, 4};
  std::vector<float> chosen(4, -1);
  top_k(probs, 2, scales, chosen);
  EXPECT_EQ(chosen[0], 0);
  EXPECT_NEAR(chosen[1], 0.5 / 0.8 * 2, 1e-6);
  EXPECT_NEAR(chosen[2], 0.3 / 0.8 * 3, 1e-6);
  EXPECT_EQ(chosen[3], 0);
}

}  // namespace assay::reference
