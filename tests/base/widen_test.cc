#include "base/widen.h"

#include <cmath>

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Widen, EveryBfloat16ComesBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = widen_bf16(std::uint16_t(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(widen_bf16(narrow_bf16(value))));
    } else {
      EXPECT_EQ(narrow_bf16(value), bits);
    }
  }
}

TEST(Widen, RoundsToNearestEven) {
  EXPECT_EQ(narrow_bf16(1 + 0x1p-8F), 0x3f80);            // a tie, down to even
  EXPECT_EQ(narrow_bf16(1 + 0x1p-7F + 0x1p-8F), 0x3f82);  // a tie, up to even
  EXPECT_EQ(narrow_bf16(1 + 0x1p-8F + 0x1p-20F), 0x3f81);
}

#ifdef __FLT16_MAX__
TEST(Widen, EveryFloat16IsWhatTheCompilerSays) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float expected = float(std::bit_cast<_Float16>(std::uint16_t(bits)));
    const float value = widen_f16(std::uint16_t(bits));
    if (std::isnan(expected))
      EXPECT_TRUE(std::isnan(value));
    else
      EXPECT_EQ(std::bit_cast<std::uint32_t>(value), std::bit_cast<std::uint32_t>(expected)) << bits;
  }
}
#endif

TEST(Widen, KnowsFloat16Corners) {
  EXPECT_EQ(widen_f16(0x3c00), 1);
  EXPECT_EQ(widen_f16(0x7bff), 65504);
  EXPECT_EQ(widen_f16(0x0001), 0x1p-24F);
  EXPECT_TRUE(std::signbit(widen_f16(0x8000)));
  EXPECT_TRUE(std::isinf(widen_f16(0xfc00)));
}

TEST(Widen, EveryFloat16ComesBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float value = widen_f16(std::uint16_t(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(widen_f16(narrow_f16(value))));
    else
      EXPECT_EQ(narrow_f16(value), bits);
  }
}

TEST(Widen, RoundsToTheNearerFloat16TiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = widen_f16(std::uint16_t(bits)), high = widen_f16(std::uint16_t(bits + 1));
    const float middle = low + (high - low) / 2;  // exact in fp32
    EXPECT_EQ(narrow_f16(middle), bits + (bits & 1)) << bits;
    EXPECT_EQ(narrow_f16(std::nextafter(middle, low)), bits) << bits;
    EXPECT_EQ(narrow_f16(std::nextafter(-middle, -high)), 0x8000 | (bits + 1)) << bits;
  }
  EXPECT_EQ(narrow_f16(65519), 0x7bff);
  EXPECT_EQ(narrow_f16(65520), 0x7c00);
  EXPECT_EQ(narrow_f16(-INFINITY), 0xfc00);
}

}  // namespace
}  // namespace assay
