// Bytes from engines, made fit to print.
#include "reports/text.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Printable, KeepsTextAndLines) {
  for (const char* text : {"", "plain", "two\nlines\tand a tab", "é € 𝄞 中"}) EXPECT_EQ(printable(text), text);
}

TEST(Printable, ReplacesControlCharacters) {
  EXPECT_EQ(printable("a\x1b[31mb\x07\r\x7f"), "a?[31mb???");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
  EXPECT_EQ(printable("\xc2\x9b"), "??") << "a C1 control character is an escape, too";
  EXPECT_EQ(printable("\xef\xbf\xbf"), "???") << "not allowed in XML";
}

TEST(Printable, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff"), "?");
  EXPECT_EQ(printable("\xc3"), "?");
  EXPECT_EQ(printable("\xc0\xaf"), "??") << "overlong";
  EXPECT_EQ(printable("\xe0\x80\x80"), "???") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "???") << "a surrogate";
  EXPECT_EQ(printable("\xf5\x80\x80\x80"), "????");
  EXPECT_EQ(printable("\xf0\x9d\x84"), "???") << "cut off";
}

}  // namespace
}  // namespace assay
