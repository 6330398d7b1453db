#include "model/media/patches.h"

#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/expected.h"

namespace assay {
namespace {

Size size_of(int width, int height, PatchSettings settings = {}) {
  const auto size = target_size({width, height}, settings, "test");
  EXPECT_TRUE(size) << message_of(size);
  return size.value_or(Size{});
}

TEST(Patches, SizesFillTheBudget) {
  // As Gemma4ImageProcessor gives them (transformers 5.22.2).
  EXPECT_EQ(size_of(1, 1), (Size{768, 768}));
  EXPECT_EQ(size_of(640, 480), (Size{912, 672}));
  EXPECT_EQ(size_of(1920, 1080), (Size{1056, 576}));
  EXPECT_EQ(size_of(4000, 10), (Size{13440, 48}));
  EXPECT_EQ(size_of(10, 4000), (Size{48, 13440}));
  EXPECT_EQ(size_of(20000, 3), (Size{13440, 48}));
  EXPECT_EQ(size_of(384, 384, {.soft_tokens = 70}), (Size{384, 384}));
}

TEST(Patches, RefuseAnImageWithoutPixels) {
  EXPECT_FALSE(target_size({0, 5}, {}, "test"));
  EXPECT_FALSE(target_size({5, -1}, {}, "test"));
}

Image numbered(int width, int height) {
  Image image{width, height, std::vector<std::uint8_t>(std::size_t(width) * std::size_t(height) * 3)};
  std::iota(image.rgb.begin(), image.rgb.end(), std::uint8_t{0});
  return image;
}

TEST(Patches, LieRowByRowChannelFastestThenPadding) {
  const PatchSettings settings{.patch = 2, .pool = 1, .soft_tokens = 70, .rescale = 1};
  const auto patches = make_patches(numbered(4, 2), settings, "test");
  ASSERT_TRUE(patches) << message_of(patches);
  EXPECT_EQ(patches->soft_tokens, 2);
  ASSERT_EQ(patches->values.size(), 70U * 12);
  const std::vector<float> second(patches->values.begin() + 12, patches->values.begin() + 24);
  EXPECT_THAT(second, testing::ElementsAre(6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23));
  EXPECT_EQ(patches->values[24], 0);
  EXPECT_THAT(std::vector<std::int64_t>(patches->positions.begin(), patches->positions.begin() + 6),
              testing::ElementsAre(0, 0, 1, 0, -1, -1));
}

TEST(Patches, OfTheUnifiedModelAreSquaresOfPatches) {
  const PatchSettings settings{.patch = 1, .pool = 2, .soft_tokens = 70, .merged = true, .rescale = 1};
  const auto patches = make_patches(numbered(4, 2), settings, "test");
  ASSERT_TRUE(patches);
  EXPECT_EQ(settings.columns(), 12);
  EXPECT_EQ(settings.rows(), 70);
  EXPECT_THAT(std::vector<float>(patches->values.begin(), patches->values.begin() + 12),
              testing::ElementsAre(0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17));
  EXPECT_EQ(patches->soft_tokens, 2);
}

TEST(Patches, RefuseSidesThatNoSquareDivides) {
  EXPECT_FALSE(make_patches(numbered(5, 2), {.patch = 2, .pool = 1}, "test"));
  EXPECT_FALSE(make_patches(numbered(4, 2), {.patch = 2, .pool = 2}, "test"));
  EXPECT_FALSE(make_patches(numbered(100, 8), {.patch = 1, .pool = 1, .soft_tokens = 70}, "test"));
}

TEST(Patches, AreScaledOrNormalisedInFloat) {
  Image white{2, 2, std::vector<std::uint8_t>(12, 255)};
  EXPECT_EQ(make_patches(white, {.patch = 2, .pool = 1}, "test")->values[0], 255.0F * float(1.0 / 255));
  PatchSettings normalised{.patch = 2, .pool = 1, .normalize = true, .mean = {0.5, 0, 0}, .std = {0.5, 1, 2}};
  const auto patches = make_patches(white, normalised, "test");
  EXPECT_EQ(patches->values[0], 1.0F);
  EXPECT_EQ(patches->values[1], 1.0F);
  EXPECT_EQ(patches->values[2], 0.5F);
}

}  // namespace
}  // namespace assay
