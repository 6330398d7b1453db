// Journals: what is written comes back, what was cut off or is another run's does not.
#include "harness/verify/journal.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/verify/about.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;

const Facts kAbout = {{"program", "1"}, {"goldens", "abc"}};

std::vector<PathResult> results(int paths) {
  std::vector<PathResult> out;
  for (int i = 0; i < paths; ++i) {
    PathResult one;
    one.engine = "cpu";
    one.golden = "e2b";
    one.case_name = "short";
    one.path = "chunked:" + std::to_string(i + 1);
    one.verdict = i == 1 ? Verdict::crash : Verdict::pass;
    one.seconds = 0.25;
    one.note = "line\\n \"quoted\"";
    out.push_back(one);
  }
  return out;
}

class JournalFile : public testing::Test {
 protected:
  Journal open(const Facts& about = kAbout) {
    auto journal = Journal::open(file_, about);
    EXPECT_TRUE(journal) << journal.error().message();
    return *std::move(journal);
  }
  Temporary folder_;
  std::filesystem::path file_ = folder_ / "run.json.journal";
};

TEST_F(JournalFile, GivesBackWhatWasAdded) {
  {
    Journal journal = open();
    EXPECT_EQ(journal.word(), "");
    ASSERT_TRUE(journal.add("cpu e2b/short", results(3)));
    ASSERT_TRUE(journal.add("cpu e2b/\"long\"", {}));
  }
  Journal journal = open();
  EXPECT_EQ(journal.word(), "");
  EXPECT_EQ(journal.size(), 2U);
  ASSERT_NE(journal.find("cpu e2b/short"), nullptr);
  EXPECT_EQ(*journal.find("cpu e2b/short"), results(3));
  ASSERT_NE(journal.find("cpu e2b/\"long\""), nullptr);
  EXPECT_TRUE(journal.find("cpu e2b/\"long\"")->empty());
  EXPECT_EQ(journal.find("cpu e2b/other"), nullptr);
  journal.remove();
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(JournalFile, CutAtAnyByteKeepsTheLinesThatAreWhole) {
  {
    Journal journal = open();
    ASSERT_TRUE(journal.add("a", results(2)));
    ASSERT_TRUE(journal.add("b", results(1)));
  }
  const std::string whole = bytes_of(file_);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    put(file_, whole.substr(0, size));
    const auto lines = std::count(whole.begin(), whole.begin() + std::ptrdiff_t(size), '\n');
    {
      Journal journal = open();
      EXPECT_EQ(journal.size(), std::size_t(std::max<std::ptrdiff_t>(0, lines - 1))) << size;
      EXPECT_EQ(journal.word().empty(), size == 0 || lines > 0) << size;
      ASSERT_TRUE(journal.add("c", results(1)));
    }
    EXPECT_NE(open().find("c"), nullptr) << "after what was cut off, at " << size;
  }
}

TEST_F(JournalFile, OfAnotherRunIsBegunAnewWithAWord) {
  ASSERT_TRUE(open().add("a", results(1)));
  const Journal journal = open({{"program", "2"}, {"goldens", "abc"}});
  EXPECT_EQ(journal.word(), "program: 1 instead of 2");
  EXPECT_EQ(journal.size(), 0U);
  EXPECT_THAT(bytes_of(file_), HasSubstr("\"program\":\"2\""));
}

TEST_F(JournalFile, WhatIsNoJournalIsBegunAnew) {
  for (const std::string& text :
       {std::string("hello\n"), std::string("{}\n"), std::string("[1]\n"), std::string("\0\0\n", 3),
        std::string("{\"journal\":2,\"about\":{}}\n"), std::string("{\"journal\":1,\"about\":3}\n")}) {
    put(file_, text);
    EXPECT_EQ(open().word(), "it is no journal") << text;
    EXPECT_EQ(open().word(), "");
  }
  put(file_, "{\"journal\":1,\"about\":{\"program\":\"1\"}}\n");
  EXPECT_EQ(open().word(), "goldens: not told");
}

TEST_F(JournalFile, ALineThatIsNoUnitEndsIt) {
  ASSERT_TRUE(open().add("a", results(1)));
  const std::string whole = bytes_of(file_), last = whole.substr(whole.find('\n') + 1);
  for (const char* line :
       {"{}", "{\"unit\":\"b\"}", "{\"unit\":3,\"results\":[]}", "{\"unit\":\"b\",\"results\":[{}]}", "x"}) {
    put(file_, std::string(whole).append(line).append("\n").append(last));
    EXPECT_EQ(open().size(), 1U) << line;
    EXPECT_EQ(bytes_of(file_), whole) << line;
  }
}

TEST_F(JournalFile, HasOneWriter) {
  const Journal first = open();
  const auto second = Journal::open(file_, kAbout);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message(), HasSubstr("another process is writing it"));
  EXPECT_FALSE(Journal::open(folder_ / "none" / "x", kAbout));
}

TEST(About, TellsTheFirstDifference) {
  EXPECT_EQ(difference(kAbout, kAbout), "");
  EXPECT_EQ(difference(kAbout, {{"goldens", "abd"}, {"program", "1"}}), "goldens: abd instead of abc");
}

}  // namespace
}  // namespace assay
