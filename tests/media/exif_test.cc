#include "model/media/exif.h"

#include <string>

#include <gtest/gtest.h>

namespace assay {
namespace {

std::string number(unsigned value, int size, bool big) {
  std::string out;
  for (int i = 0; i < size; ++i)
    out += char(static_cast<unsigned char>(value >> unsigned(8 * (big ? size - 1 - i : i))));
  return out;
}

std::string tiff(unsigned orientation, bool big, unsigned tag = 0x0112, unsigned type = 3) {
  const auto n = [&](unsigned value, int size) { return number(value, size, big); };
  return (big ? "MM" : "II") + n(42, 2) + n(8, 4) + n(2, 2) + n(0x010f, 2) + n(2, 2) + n(1, 4) + n(0, 4) + n(tag, 2) +
         n(type, 2) + n(1, 4) + n(orientation, 2) + n(0, 2) + n(0, 4);
}

std::string jpeg(const std::string& body) {
  const std::string app = std::string("Exif\0\0", 6) + body;
  return "\xff\xd8\xff\xe0" + number(4, 2, true) + "xx\xff\xe1" + number(unsigned(app.size()) + 2, 2, true) + app +
         "\xff\xda";
}

TEST(Exif, IsFoundInEachKindOfFileInEitherByteOrder) {
  for (const bool big : {false, true})
    for (unsigned orientation = 1; orientation <= 8; ++orientation) {
      const std::string body = tiff(orientation, big);
      const std::string png = "\x89PNG\r\n\x1a\n" + number(0, 4, true) + "IHDR" + number(0, 4, true) +
                              number(unsigned(body.size()), 4, true) + "eXIf" + body;
      const std::string webp = "RIFF" + number(0, 4, false) + "WEBP" + "VP8 " + number(1, 4, false) + "x" +
                               std::string(1, '\0') + "EXIF" + number(unsigned(body.size()), 4, false) + body;
      EXPECT_EQ(exif_orientation(jpeg(body)), int(orientation));
      EXPECT_EQ(exif_orientation(png), int(orientation));
      EXPECT_EQ(exif_orientation(webp), int(orientation));
    }
}

TEST(Exif, IsOneWhereTheFileSaysNothingValid) {
  EXPECT_EQ(exif_orientation(""), 1);
  EXPECT_EQ(exif_orientation("\xff\xd8"), 1);
  EXPECT_EQ(exif_orientation(jpeg(tiff(9, true))), 1);
  EXPECT_EQ(exif_orientation(jpeg(tiff(0, true))), 1);
  EXPECT_EQ(exif_orientation(jpeg(tiff(6, true, 0x0113))), 1);
  EXPECT_EQ(exif_orientation(jpeg(tiff(6, true, 0x0112, 4))), 1);
  EXPECT_EQ(exif_orientation(jpeg("MM" + number(42, 2, true) + number(0xffffffff, 4, true))), 1);
  const std::string whole = jpeg(tiff(6, true));
  for (std::size_t size = 0; size + 12 < whole.size(); ++size) EXPECT_GE(exif_orientation(whole.substr(0, size)), 1);
}

}  // namespace
}  // namespace assay
