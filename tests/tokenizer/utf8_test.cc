#include "model/tokenizer/utf8.h"

#include <gmock/gmock.h>

namespace assay {
namespace {

const std::string kBad = "\uFFFD";

TEST(Utf8, ReplacesEachMaximalSubpartOnce) {
  // What bytes.decode("utf-8", errors="replace") gives in Python 3.11.
  EXPECT_EQ(utf8_replaced("a\x80z"), "a" + kBad + "z");                                // a continuation alone
  EXPECT_EQ(utf8_replaced("\xC0\xAF"), kBad + kBad);                                   // overlong: no lead at all
  EXPECT_EQ(utf8_replaced("\xE0\x80\x80"), kBad + kBad + kBad);                        // overlong in three
  EXPECT_EQ(utf8_replaced("\xED\xA0\x80"), kBad + kBad + kBad);                        // a surrogate
  EXPECT_EQ(utf8_replaced("\xF4\x90\x80\x80"), kBad + kBad + kBad + kBad);             // past U+10FFFF
  EXPECT_EQ(utf8_replaced("\xF0\x9F\x99"), kBad);                                      // cut off: one
  EXPECT_EQ(utf8_replaced("\xF0\x9F\x99z"), kBad + "z");                               // broken off: one
  EXPECT_EQ(utf8_replaced("\xE2\x96\xE2\x96\x81"), kBad + "\u2581");                   // a lead starts anew
  EXPECT_EQ(utf8_replaced("\xF5\xFF\xFE\xF8\x88"), kBad + kBad + kBad + kBad + kBad);  // never leads
  EXPECT_EQ(utf8_replaced(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));  // zero is a character
}

TEST(Utf8, LeavesValidTextAlone) {
  const std::string text = "a\u00E9\u2581\uFFFF\U0001F642\U0010FFFF\u07FF\u0800\uD7FF\uE000";
  EXPECT_EQ(utf8_replaced(text), text);
  EXPECT_EQ(utf8_invalid_at(text), std::nullopt);
  EXPECT_EQ(utf8_invalid_at(""), std::nullopt);
}

TEST(Utf8, SaysWhereTheFirstBadSequenceStarts) {
  EXPECT_EQ(utf8_invalid_at("ab\xC3"), 2U);
  EXPECT_EQ(utf8_invalid_at("\u00E9\xED\xA0\x80"), 2U);
}

}  // namespace
}  // namespace assay
