#include "model/media/resize.h"

#include <gtest/gtest.h>

#include "media/expected.h"

namespace assay {
namespace {

TEST(Resize, GivesTorchsBytes) {
  const auto picture = decode_image(media_file("picture.png"));
  ASSERT_TRUE(picture);
  const nlohmann::json expected = expected_json()["resized"];
  ASSERT_EQ(expected.size(), 6U);
  for (const nlohmann::json& one : expected) {
    const auto made = resize_bicubic(*picture, one["width"], one["height"]);
    ASSERT_TRUE(made) << message_of(made);
    EXPECT_EQ(hash_of(*made), one["sha256"]) << one.dump();
  }
}

TEST(Resize, KeepsOneColourAndOneSize) {
  Image grey{5, 3, std::vector<std::uint8_t>(45, 77)};
  const auto larger = resize_bicubic(grey, 48, 96);
  ASSERT_TRUE(larger);
  EXPECT_EQ(larger->rgb, std::vector<std::uint8_t>(48 * 96 * 3, 77));
  grey.rgb[7] = 200;
  EXPECT_EQ(resize_bicubic(grey, 5, 3).value(), grey);
}

TEST(Resize, RefusesWhatIsNoPicture) {
  EXPECT_FALSE(resize_bicubic({}, 4, 4));
  EXPECT_FALSE(resize_bicubic({2, 2, {1, 2, 3}}, 4, 4));
  const Image pixel{1, 1, {1, 2, 3}};
  EXPECT_FALSE(resize_bicubic(pixel, 0, 4));
  EXPECT_FALSE(resize_bicubic(pixel, 4, (1 << 20) + 1));
}

}  // namespace
}  // namespace assay
