#include "model/media/image.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/expected.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

Result<Image> decode_bytes(const std::string& bytes, const ImageLimits& limits = {}) {
  return decode_image(std::as_bytes(std::span(bytes)), "memory", limits);
}

std::string word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += char(static_cast<unsigned char>(value >> unsigned(shift)));
  return bytes;
}

/// picture.png's header with other dimensions, its checksum left wrong or not.
std::string declared(std::uint32_t width, std::uint32_t height) {
  std::string bytes = bytes_of(media_file("picture.png"));
  bytes.replace(16, 8, word(width) + word(height));
  std::uint32_t crc = ~0U;
  for (std::size_t i = 12; i < 29; ++i) {
    crc ^= static_cast<unsigned char>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return bytes.replace(29, 4, word(~crc));
}

TEST(Image, IsWhatPillowMakesOfEachFile) {
  const nlohmann::json expected = expected_json()["images"];
  ASSERT_GE(expected.size(), 14U);
  for (const auto& [name, facts] : expected.items()) {
    const auto image = decode_image(media_file(name));
    ASSERT_TRUE(image) << message_of(image);
    EXPECT_EQ(image->width, facts["width"]) << name;
    EXPECT_EQ(image->height, facts["height"]) << name;
    if (name.ends_with(".jpg")) continue;
    EXPECT_EQ(hash_of(*image), facts["sha256"]) << name;
  }
}

TEST(Image, OfAJpegLiesWithinThreeLevelsOfLibjpegs) {
  for (const std::string name : {"photo.jpg", "photo-422-progressive.jpg", "turned.jpg"}) {
    const auto image = decode_image(media_file(name));
    ASSERT_TRUE(image) << message_of(image);
    const auto expected = expected_tensor(name).integers();
    ASSERT_TRUE(expected);
    ASSERT_EQ(image->rgb.size(), expected->size());
    int largest = 0;
    int differ = 0;
    for (std::size_t i = 0; i < image->rgb.size(); ++i) {
      const int off = std::abs(int{image->rgb[i]} - int((*expected)[i]));
      largest = std::max(largest, off);
      differ += off > 0 ? 1 : 0;
    }
    EXPECT_LE(largest, 3) << name;
    EXPECT_LT(differ, int(image->rgb.size() / 10)) << name << ": upsampling or colours are not libjpeg's";
  }
}

TEST(Image, RefusesWhatIsNoImageAndSaysWhatItFound) {
  EXPECT_THAT(message_of(decode_bytes("just some text")), HasSubstr("found text"));
  EXPECT_THAT(message_of(decode_bytes("")), HasSubstr("an empty file"));
  EXPECT_THAT(message_of(decode_bytes(std::string("\x00\x01\x02\xff", 4))), HasSubstr("found bytes 00 01 02 ff"));
  EXPECT_THAT(message_of(decode_image(media_file("absent.png"))), HasSubstr("absent.png"));
  EXPECT_THAT(message_of(decode_image(media_file("."))), HasSubstr("expected a file"));
  EXPECT_THAT(message_of(decode_image(media_file("clip.mp4"))), HasSubstr("a PNG, JPEG, WebP, BMP or GIF image"));
}

TEST(Image, RefusesEveryFileThatIsCutShort) {
  for (const std::string name :
       {"picture.png", "palette.png", "picture.bmp", "picture.gif", "photo.jpg", "picture.webp", "lossless.webp"}) {
    const std::string bytes = bytes_of(media_file(name));
    for (const double share : {0.1, 0.5, 0.9}) {
      const auto image = decode_bytes(bytes.substr(0, std::size_t(double(bytes.size()) * share)));
      EXPECT_FALSE(image) << name << " at " << share;
    }
  }
}

TEST(Image, RefusesDimensionsThatItsBytesDoNotBear) {
  for (const auto& [width, height] : std::array<std::pair<std::uint32_t, std::uint32_t>, 4>{
           {{0, 61}, {97, 0}, {2'000'000'000, 2'000'000'000}, {20'000, 20'000}}})
    EXPECT_FALSE(decode_bytes(declared(width, height))) << width << " x " << height;
  EXPECT_TRUE(decode_bytes(declared(97, 61)));  // the header's own checksum is made right
}

TEST(Image, KeepsToItsLimits) {
  const std::string bytes = bytes_of(media_file("picture.png"));
  EXPECT_TRUE(decode_bytes(bytes, {.pixels = 97 * 61}));
  EXPECT_FALSE(decode_bytes(bytes, {.pixels = 97 * 61 - 1}));
  EXPECT_THAT(message_of(decode_bytes(bytes, {.file_bytes = 100})), HasSubstr("at most 100 bytes"));
}

TEST(Image, TurnsAsExifAsks) {
  // A TIFF directory with the orientation alone, in the PNG chunk that turned.png has it in.
  const std::string file = bytes_of(media_file("turned.png"));
  const std::size_t chunk = file.find("eXIf");
  ASSERT_NE(chunk, std::string::npos);
  const auto plain = decode_image(media_file("picture.png"));
  const auto turned = decode_image(media_file("turned.png"));  // 7: transverse
  ASSERT_TRUE(plain && turned);
  EXPECT_EQ(turned->width, plain->height);
  const auto pixel = [](const Image& image, int x, int y) {
    return image.rgb[(std::size_t(y) * std::size_t(image.width) + std::size_t(x)) * 3];
  };
  EXPECT_EQ(pixel(*turned, 0, 0), pixel(*plain, plain->width - 1, plain->height - 1));
  EXPECT_EQ(pixel(*turned, 5, 9), pixel(*plain, plain->width - 1 - 9, plain->height - 1 - 5));
}

}  // namespace
}  // namespace assay
