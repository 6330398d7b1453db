#include "kernels/formats.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include <gtest/gtest.h>

#include "base/widen.h"
#include "kernels/spec/random.h"

namespace assay::kernels {
namespace {

std::vector<float> ramp(int n, float step) {
  std::vector<float> x(std::size_t(n), 0.0F);
  for (int i = 0; i < n; ++i) x[std::size_t(i)] = float(i - n / 2) * step;
  return x;
}

std::vector<float> there_and_back(Format format, const std::vector<float>& x) {
  std::vector<std::byte> row(row_bytes(format, int(x.size())));
  std::vector<float> back(x.size());
  quantize(format, x, row.data());
  dequantize(format, row.data(), 1, back);
  return back;
}

TEST(Formats, NamesComeBack) {
  for (int i = 0; i < kFormats; ++i) EXPECT_EQ(parse_format(name(Format(i))), Format(i));
  for (int i = 0; i < kActs; ++i) EXPECT_EQ(parse_acts(name(Acts(i))), Acts(i));
  EXPECT_FALSE(parse_format("q4_1"));
  EXPECT_FALSE(parse_acts("fp16"));
}

TEST(Formats, RowsAreAsLongAsLlamaCppsBlocks) {
  EXPECT_EQ(row_bytes(Format::q4_0, 1536), 48U * 18);
  EXPECT_EQ(row_bytes(Format::q8_0, 1536), 48U * 34);
  EXPECT_EQ(row_bytes(Format::q6_k, 1536), 6U * 210);
  EXPECT_EQ(row_bytes(Format::bf16, 7), 14U);
  EXPECT_EQ(row_bytes(Format::f16, 7), 14U);
}

TEST(Formats, F16KeepsElevenBitsSubnormalsAndInfinities) {
  constexpr float kInfinite = INFINITY;
  const std::vector<float> x{0,        -1,          1 + 0x1p-10F, 1 + 0x1p-11F, 65504,
                             0x1p-24F, -0x3ffp-24F, 0x1p-26F,     65520,        -kInfinite};
  EXPECT_EQ(there_and_back(Format::f16, x),
            (std::vector<float>{0, -1, 1 + 0x1p-10F, 1, 65504, 0x1p-24F, -0x3ffp-24F, 0, kInfinite, -kInfinite}));
  EXPECT_TRUE(std::isnan(there_and_back(Format::f16, {NAN})[0]));
}

TEST(Formats, Q8_0TakesEveryIntegerAndRoundsHalvesAway) {
  std::vector<float> x(32, 0.0F);
  x[0] = 127;  // d = 1
  x[1] = 2.5F, x[2] = -2.5F, x[3] = 0.49999F, x[4] = -126.6F;
  const std::vector<float> back = there_and_back(Format::q8_0, x);
  EXPECT_EQ(back[0], 127);
  EXPECT_EQ(back[1], 3);
  EXPECT_EQ(back[2], -3);
  EXPECT_EQ(back[3], 0);
  EXPECT_EQ(back[4], -127);
}

TEST(Formats, Q4_0IsExactOnItsOwnGridAndClampsThePositiveEnd) {
  std::vector<float> x(32, 0.0F);
  for (int i = 0; i < 16; ++i) x[std::size_t(i)] = float(i - 8);
  EXPECT_EQ(there_and_back(Format::q4_0, x), x);
  x[0] = 8;  // now the largest value is positive too, but the first, so that d = -1 and -8 .. 7 become 8 .. -7
  std::vector<float> expected = x;
  EXPECT_EQ(there_and_back(Format::q4_0, x), expected);
  x[1] = -8;  // out of reach: -7 is the last
  expected = x;
  expected[1] = -7;
  EXPECT_EQ(there_and_back(Format::q4_0, x), expected);
}

TEST(Formats, Q4_0KeepsFirstHalfInLowNibbles) {
  std::vector<float> x(32, 0.0F);
  x[0] = -8, x[16] = 7, x[15] = 1, x[31] = 2;
  BlockQ4_0 block;
  quantize(Format::q4_0, x, reinterpret_cast<std::byte*>(&block));
  EXPECT_EQ(widen_f16(block.d), 1);
  EXPECT_EQ(block.q[0], 0xf0);
  EXPECT_EQ(block.q[15], 0xa9);
}

TEST(Formats, Q6_KLiesWhereLlamaCppPutsIt) {
  // One value differs from zero in turn: only the bits of its place may differ from those of zero.
  std::vector<float> x(256, 0.0F);
  for (int v = 0; v < 256; ++v) {
    std::fill(x.begin(), x.end(), 0.0F);
    x[std::size_t(v)] = -32;
    const std::vector<float> back = there_and_back(Format::q6_k, x);
    EXPECT_NEAR(back[std::size_t(v)], -32, 0.3) << v;
    for (int other = 0; other < 256; ++other)
      ASSERT_TRUE(other == v || back[std::size_t(other)] == 0) << v << " " << other;
  }
  BlockQ6_K block{};
  block.d = narrow_f16(1);
  std::fill_n(block.scales, 16, std::int8_t{1});
  block.low[64 + 32 + 5] = 0x70;  // half 1, j = 3 (upper nibble of the second 32), i = 5
  block.high[32 + 5] = 0x80;      // bits 6 and 7: 2
  std::vector<float> out(256);
  dequantize(Format::q6_k, reinterpret_cast<const std::byte*>(&block), 1, out);
  EXPECT_EQ(out[128 + 3 * 32 + 5], 7 + 32 - 32);
  EXPECT_EQ(out[128 + 2 * 32 + 5], -32);
}

TEST(Formats, ErrorsAreHalfAStepAtMost) {
  std::vector<float> x(512);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = random_signed(3, i);
  struct Case {
    Format format;
    double steps;
  };
  // Of the largest magnitude: half a d (a whole one at the end that 4 bits do not reach), and d's own rounding to 11
  // bits.
  for (const Case c : {Case{Format::q8_0, 0.5 / 127 + 0x1p-11}, Case{Format::q4_0, 1 / 8.0 + 0x1p-11},
                       Case{Format::q6_k, 1.05 / 31}}) {
    const std::vector<float> back = there_and_back(c.format, x);
    const std::size_t block = c.format == Format::q6_k ? 16 : 32;
    for (std::size_t i = 0; i < x.size(); ++i) {
      float largest = 0;
      for (std::size_t j = i / block * block; j < (i / block + 1) * block; ++j)
        largest = std::max(largest, std::fabs(x[j]));
      EXPECT_LE(std::fabs(back[i] - x[i]), c.steps * largest) << name(c.format) << " " << i;
    }
  }
}

TEST(Formats, ZerosStayZeros) {
  const std::vector<float> x(256, 0.0F);
  for (const Format format : {Format::fp32, Format::bf16, Format::f16, Format::q8_0, Format::q4_0, Format::q6_k})
    EXPECT_EQ(there_and_back(format, x), x) << name(format);
  std::vector<std::byte> row(256);
  EXPECT_EQ(quantize_i8(x, row.data()), 0);
  EXPECT_EQ(row, std::vector<std::byte>(256));
}

TEST(Formats, I8HasOneScaleAndRoundsTiesToEven) {
  std::vector<float> x{127, 0.5F, 1.5F, -2.5F, -127};
  std::vector<std::byte> row(x.size());
  const float scale = quantize_i8(x, row.data());
  EXPECT_EQ(scale, 1);
  std::vector<float> back(x.size());
  dequantize(Format::i8, row.data(), scale, back);
  EXPECT_EQ(back, (std::vector<float>{127, 0, 2, -2, -127}));
}

TEST(Formats, Int8ActivationsHaveAScaleABlockAndSumsOfItsHalfAndOfAll) {
  std::vector<float> x = ramp(64, 1);
  x[5] = 127;
  const OwnActivations acts(Acts::int8, x, 1, 64);
  EXPECT_EQ(acts.scales[0], 1);
  EXPECT_EQ(acts.scales[1], 31.0F / 127);
  ASSERT_EQ(acts.sums.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    int sum = 0;
    for (std::size_t c = 0; c < (i % 2 == 0 ? 16 : 32); ++c) sum += std::int8_t(acts.values[i / 2 * 32 + c]);
    EXPECT_EQ(acts.sums[i], kSumsFactor * sum) << i;
  }
  EXPECT_EQ(acts.row(0)[0], -32);
}

TEST(Formats, TinyBlocksOfActivationsAreZeros) {
  std::vector<float> x(32, 0x1p-120F);
  const OwnActivations acts(Acts::int8, x, 1, 32);
  EXPECT_EQ(acts.scales[0], 0);
  EXPECT_EQ(acts.sums[0], 0);
  x[3] = 0x1p-119F;
  EXPECT_EQ(OwnActivations(Acts::int8, x, 1, 32).sums[0], kSumsFactor * (127 + 15 * 64));  // 63.5, a tie: 64 is even
}

}  // namespace
}  // namespace assay::kernels
