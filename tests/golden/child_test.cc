#include "golden/child.h"

#include <csignal>
#include <memory>
#include <stdexcept>

#include <gmock/gmock.h>
#include <unistd.h>

namespace assay {
namespace {

using testing::HasSubstr;
using Work = std::function<Result<std::string>()>;

std::string error_of(const ChildLimits& limits, const Work& work) {
  const auto result = in_child("input.h5", limits, work);
  if (result) return "no error, but " + *result;
  EXPECT_EQ(result.error().kind, Failure::bad_input);
  EXPECT_EQ(result.error().where, "input.h5");
  return result.error().message();
}

TEST(Child, ReturnsWhatTheWorkReturns) {
  const std::string large(1 << 20, 'x');  // more than a pipe holds
  EXPECT_EQ(in_child("input.h5", {}, [&]() -> Result<std::string> { return large; }).value(), large);
  EXPECT_EQ(in_child("input.h5", {}, []() -> Result<std::string> { return std::string(); }).value(), "");
}

TEST(Child, HandsAFailureOverWhole) {
  const auto result = in_child("input.h5", {}, []() -> Result<std::string> {
    return fail({Failure::unsupported, "a", "b", "", "d"});
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, Failure::unsupported);
  EXPECT_EQ(result.error().message(), "a: b: found d");
}

TEST(Child, KeepsItsMemoryToItself) {
  int here = 1;
  ASSERT_TRUE(in_child("input.h5", {}, [&]() -> Result<std::string> { return std::to_string(here = 2); }));
  EXPECT_EQ(here, 1);
}

TEST(Child, MayHang) {
  EXPECT_THAT(error_of({.deadline = std::chrono::milliseconds(100)},
                       []() -> Result<std::string> {
                         while (true) pause();
                       }),
              HasSubstr("did not end"));
}

TEST(Child, MaySpinForever) {
  EXPECT_THAT(error_of({.cpu_seconds = 1},
                       []() -> Result<std::string> {
                         while (true) asm volatile("");  // or the compiler may drop the loop
                       }),
              HasSubstr("signal"));
}

TEST(Child, MayDieOfASignal) {
  for (const int signal : {SIGKILL, SIGABRT, SIGTERM})
    EXPECT_THAT(error_of({},
                         [&]() -> Result<std::string> {
                           raise(signal);
                           return std::string();
                         }),
                HasSubstr("the reader died of signal " + std::to_string(signal)));
}

TEST(Child, MayLeaveWithoutAnAnswer) {
  for (const int status : {0, 3})
    EXPECT_THAT(error_of({}, [&]() -> Result<std::string> { _exit(status); }), HasSubstr("without an answer"));
}

TEST(Child, MayThrow) {
  EXPECT_THAT(error_of({}, []() -> Result<std::string> { throw std::runtime_error("what it was"); }),
              HasSubstr("what it was"));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Child, HasSoMuchMemoryAndNoMore) {
  const ChildLimits limits{.memory = 64 << 20};
  const auto take = [](std::size_t bytes) {
    return [bytes]() -> Result<std::string> {
      const auto memory = std::make_unique<volatile char[]>(bytes);
      memory[bytes - 1] = 1;
      return std::string("enough");
    };
  };
  EXPECT_EQ(in_child("input.h5", limits, take(16 << 20)).value(), "enough");
  EXPECT_THAT(error_of(limits, take(256 << 20)), HasSubstr("bad_alloc"));
}
#endif

}  // namespace
}  // namespace assay
