// Children that end well, badly, late and never.
#include "harness/verify/isolate.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Outcome one(const Work& work, double deadline = 20) {
  return isolate({work}, {.children = 1, .deadline = std::chrono::duration<double>(deadline), .ended = {}}).front();
}

void sleep_for(int milliseconds) { ::usleep(useconds_t(milliseconds) * 1000); }

TEST(Isolate, MessagesArriveInOrderAndWhole) {
  const std::string big(3'000'000, 'x');
  const Outcome outcome = one([&](const Send& send) {
    send("first");
    send("");
    send(big);
  });
  EXPECT_EQ(outcome.end, Outcome::finished);
  EXPECT_THAT(outcome.messages, ElementsAre("first", "", big));
}

TEST(Isolate, OutcomesKeepTheOrderOfTheWorksNotOfTheirEnds) {
  std::vector<Work> works;
  works.reserve(6);
  for (int i = 0; i < 6; ++i)
    works.push_back([i](const Send& send) {
      sleep_for(i == 0 ? 150 : 1);
      send(std::to_string(i));
    });
  std::vector<std::size_t> ended;
  const std::vector<Outcome> outcomes =
      isolate(works, {.children = 3, .ended = [&](std::size_t n) { ended.push_back(n); }});
  for (int i = 0; i < 6; ++i) EXPECT_THAT(outcomes[std::size_t(i)].messages, ElementsAre(std::to_string(i)));
  EXPECT_THAT(ended, ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(Isolate, EachOutcomeIsToldWhenItComes) {
  std::vector<Work> works;
  for (int i = 0; i < 3; ++i)
    works.push_back([i](const Send& send) {
      sleep_for(i == 0 ? 300 : 1);
      send(std::to_string(i));
    });
  std::vector<std::size_t> came;
  isolate(works, {.children = 3, .ended = {}, .came = [&](std::size_t index, const Outcome& outcome) {
                    came.push_back(index);
                    EXPECT_THAT(outcome.messages, ElementsAre(std::to_string(index)));
                  }});
  ASSERT_EQ(came.size(), 3U);
  EXPECT_EQ(came.back(), 0U) << "the slow one, though it is the first";
}

TEST(Isolate, ASignalIsACrashAndWhatWasSentBeforeStays) {
  for (const int signal : {SIGABRT, SIGSEGV, SIGKILL}) {
    const Outcome outcome = one([&](const Send& send) {
      send("before");
      std::signal(signal, SIG_DFL);  // a sanitizer's handler would turn it into an exit
      std::raise(signal);
    });
    EXPECT_EQ(outcome.end, Outcome::crashed);
    EXPECT_THAT(outcome.what, HasSubstr("signal " + std::to_string(signal)));
    EXPECT_THAT(outcome.messages, ElementsAre("before"));
  }
}

TEST(Isolate, AnExceptionIsACrashWithItsText) {
  EXPECT_EQ(one([](const Send&) { throw std::runtime_error("out of cheese"); }).what, "out of cheese");
  EXPECT_EQ(one([](const Send&) { throw std::runtime_error(""); }).end, Outcome::crashed);
  const Outcome other = one([](const Send&) { throw 3; });
  EXPECT_EQ(other.end, Outcome::crashed);
  EXPECT_THAT(other.what, HasSubstr("no std::exception"));
}

TEST(Isolate, LeavingQuietlyIsACrashToo) {
  const Outcome outcome = one([](const Send&) { ::_exit(0); });
  EXPECT_EQ(outcome.end, Outcome::crashed);
  EXPECT_THAT(outcome.what, HasSubstr("status 0 before its work"));
}

TEST(Isolate, AHangEndsAtTheDeadline) {
  const Outcome outcome = one(
      [](const Send& send) {
        send("before");
        std::signal(SIGTERM, SIG_IGN);
        while (true) sleep_for(1000);
      },
      0.3);
  EXPECT_EQ(outcome.end, Outcome::timed_out);
  EXPECT_THAT(outcome.messages, ElementsAre("before"));
  EXPECT_GE(outcome.seconds, 0.3);
  EXPECT_LT(outcome.seconds, 10);
}

TEST(Isolate, AChildThatClosesItsEndsAndHangsStillMeetsItsDeadline) {
  const Outcome outcome = one(
      [](const Send&) {
        for (int fd = 3; fd < 1024; ++fd) ::close(fd);
        while (true) sleep_for(1000);
      },
      0.3);
  EXPECT_EQ(outcome.end, Outcome::timed_out);
}

TEST(Isolate, WhatAChildStartedDoesNotOutliveIt) {
  const Temporary folder;
  const std::string pid_file = (folder / "grandchild").string();
  const Outcome outcome = one(
      [&](const Send& send) {
        const pid_t grandchild = ::fork();
        if (grandchild == 0) {
          while (true) sleep_for(1000);  // it holds the pipe open, too
        }
        std::ofstream(pid_file) << grandchild;
        send("done");
      },
      10);
  EXPECT_EQ(outcome.end, Outcome::finished);
  EXPECT_LT(outcome.seconds, 5) << "an end is seen though the pipe is still open";
  pid_t grandchild = 0;
  std::ifstream(pid_file) >> grandchild;
  ASSERT_GT(grandchild, 0);
  const auto gone = [&] {  // killed; it may stay a zombie where nobody reaps orphans
    std::ifstream stat("/proc/" + std::to_string(grandchild) + "/stat");
    std::string pid, name, state;
    return !(stat >> pid >> name >> state) || state == "Z" || state == "X";
  };
  for (int i = 0; i < 100 && !gone(); ++i) sleep_for(20);
  EXPECT_TRUE(gone());
}

TEST(Isolate, RunsNoMoreAtOnceThanAllowed) {
  std::vector<Work> works(4, [](const Send&) { sleep_for(100); });
  const auto start = std::chrono::steady_clock::now();
  isolate(works, {.children = 1, .ended = {}});
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(400));
}

TEST(Isolate, AChildChangesNothingHere) {
  int value = 1;
  one([&](const Send&) { value = 2; });
  EXPECT_EQ(value, 1);
  EXPECT_THAT(isolate({}, {.ended = {}}), IsEmpty());
}

}  // namespace
}  // namespace assay
