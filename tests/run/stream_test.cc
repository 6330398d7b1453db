// Text as it comes: in order, in whole characters, each row's when those before it are done.
#include "harness/run/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/small.h"

namespace assay {
namespace {

using testing::ElementsAre;

class Stream : public testing::Test {
 protected:
  TextStream stream(int rows) {
    return TextStream(file_.open().value(), rows,
                      {.begin = [this](int row) { heard_.push_back("begin " + std::to_string(row)); },
                       .end = [this](int row) { heard_.push_back("end " + std::to_string(row)); },
                       .text = [this](std::string_view piece) { heard_.emplace_back(piece); }});
  }
  SmallTokenizer file_;
  std::vector<std::string> heard_;
};

TEST_F(Stream, GivesEachPieceAtOnce) {
  TextStream out = stream(1);
  out.push(0, 7, {});
  EXPECT_THAT(heard_, ElementsAre("begin 0", "a"));
  out.push(0, 13, Finish::length);
  EXPECT_THAT(heard_, ElementsAre("begin 0", "a", " a", "end 0"));
  EXPECT_EQ(out.text(0), "a a");
}

TEST_F(Stream, KeepsTheStopTokenAndSpecialTokensToItself) {
  TextStream out = stream(1);
  out.push(0, 2, {});
  out.push(0, 8, {});
  out.push(0, 7, Finish::stop);
  EXPECT_EQ(out.text(0), "b");
  EXPECT_THAT(heard_, ElementsAre("begin 0", "b", "end 0"));
}

TEST_F(Stream, WaitsForWholeCharacters) {
  TextStream out = stream(1);
  out.push(0, 14, {});
  EXPECT_THAT(heard_, ElementsAre());
  out.push(0, 15, {});
  out.push(0, 7, Finish::length);
  EXPECT_EQ(out.text(0), "\u00e9a");
}

TEST_F(Stream, HalfACharacterAtTheEndIsNotLost) {
  TextStream out = stream(1);
  out.push(0, 14, Finish::length);
  EXPECT_EQ(out.text(0), "\uFFFD");
}

TEST_F(Stream, RowsComeOneAfterTheOther) {
  TextStream out = stream(3);
  out.push(0, 7, {});
  out.push(1, 8, {});
  out.push(2, 9, Finish::length);
  EXPECT_THAT(heard_, ElementsAre("begin 0", "a"));
  out.push(0, 8, Finish::length);
  EXPECT_THAT(heard_, ElementsAre("begin 0", "a", "b", "end 0", "begin 1", "b"));
  out.push(1, 1, Finish::stop);
  EXPECT_THAT(heard_, ElementsAre("begin 0", "a", "b", "end 0", "begin 1", "b", "end 1", "begin 2", "c", "end 2"));
}

TEST_F(Stream, ARowThatSaysNothingIsStillARow) {
  TextStream out = stream(1);
  out.push(0, 1, Finish::stop);
  EXPECT_THAT(heard_, ElementsAre("begin 0", "end 0"));
}

}  // namespace
}  // namespace assay
