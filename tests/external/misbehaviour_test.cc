// Real subprocesses that go wrong in every way there is: each is its verdict, and costs no other path. By a seed and a
// number, as many random ones as there is time for: ASSAY_MISBEHAVIOURS=1000 (60 otherwise), ASSAY_SEED=1.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "behaviours.h"
#include "engine/external/external.h"
#include "harness/fake.h"
#include "harness/verify/verify.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;

constexpr double kPatience = 20, kHang = 0.6;  // seconds: a request takes a hundredth of one where nobody else works

/// How long the harness waits where the engine will not answer, and where a busy machine alone could keep it from that.
double patience_for(std::string_view kind) {
  const auto* at =
      std::find_if(kBehaviours.begin(), kBehaviours.end(), [&](const Behaviour& b) { return b.name == kind; });
  return at != kBehaviours.end() && at->hangs ? kHang : kPatience;
}

int number_from(const char* name, int otherwise) {
  const char* set = std::getenv(name);
  return set == nullptr ? otherwise : std::atoi(set);
}

ExternalOptions options(double patience) {
  ExternalOptions out;
  out.limits.answer = std::chrono::duration<double>(patience);
  out.limits.memory = std::int64_t{192} << 20;
  out.limits.output = std::int64_t{8} << 20;
  out.limits.show = false;
  out.keep = false;
  return out;
}

class Misbehaviour : public testing::Test {
 protected:
  std::string command(std::string_view kind, int request, int process = 2) const {
    return std::string(ASSAY_MISBEHAVER) + " " + std::string(kind) + " " + std::to_string(request) + " '" +
           folder_.path().string() + "' " + std::to_string(process);
  }
  Subject subject() const {
    const GoldenCase golden = fake::golden(fake::plan(), fake::inputs(1, 4));
    Subject out{.name = "tiny", .variant = "E2B", .checkpoint = {}, .cases = {golden.name}, .load = {}};
    out.checkpoint.plan = fake::plan();
    out.checkpoint.directory = folder_ / "checkpoint";
    std::filesystem::create_directories(out.checkpoint.directory);
    std::ofstream(out.checkpoint.directory / "config.json") << "{}";
    out.load = [golden](std::string_view) -> Result<GoldenCase> { return golden; };
    return out;
  }
  std::vector<PathResult> run(std::string_view kind, int request) const {
    std::filesystem::remove(folder_ / "starts");
    const auto engine = external_engine(command(kind, request), options(patience_for(kind)));
    EXPECT_TRUE(engine) << engine.error().message();
    if (!engine) return {};
    const Engine* engines[] = {&*engine};
    const Subject one = subject();
    const VerifyOptions how{.selection = {}, .children = 1, .timeout = std::chrono::duration<double>(60)};
    auto results = verify(engines, std::span(&one, 1), how);
    EXPECT_TRUE(results) << results.error().message();
    return results ? *results : std::vector<PathResult>();
  }
  Temporary folder_;
};

std::string told(const std::vector<PathResult>& results) {
  std::string text;
  for (const PathResult& result : results) {
    const TapResult* first = first_failure(result);
    text += result.path + ": " + std::string(name_of(result.verdict)) + " " + result.note + " " +
            (first == nullptr ? "" : first->tap + ": " + first->note) + "\n";
  }
  return text;
}

TEST_F(Misbehaviour, AnEngineWithoutAnyPasses) {
  for (const char* manner : {"none", "stdout", "chatty"}) {
    const std::vector<PathResult> results = run(manner, 1);
    ASSERT_EQ(results.size(), 4U) << manner;
    for (const PathResult& result : results)
      EXPECT_EQ(result.verdict, Verdict::pass) << manner << "\n" << told(results);
  }
}

/// Four paths come, one of them is what it must be, and the others pass: the engine was started again.
void expect_one(const std::vector<PathResult>& results, const Behaviour& behaviour) {
  ASSERT_EQ(results.size(), 4U) << behaviour.name;
  int bent = 0;
  for (const PathResult& result : results) {
    if (result.verdict == Verdict::pass) continue;
    ++bent;
    EXPECT_EQ(name_of(result.verdict), name_of(behaviour.verdict)) << behaviour.name << "\n" << told(results);
  }
  EXPECT_EQ(bent, 1) << behaviour.name << "\n" << told(results);
}

TEST_F(Misbehaviour, EachIsItsVerdictAndTheOthersPathsGoOn) {
  for (const Behaviour& behaviour : kBehaviours) expect_one(run(behaviour.name, 3), behaviour);
}

TEST_F(Misbehaviour, NothingThatAnEngineSaysAtFirstEndsTheHarness) {
  for (const Behaviour& behaviour : kBehaviours) {
    if (is_of_files(behaviour.name) || behaviour.name == "answer-twice" || behaviour.name == "answer-and-exit")
      continue;
    std::filesystem::remove(folder_ / "starts");
    const auto engine = external_engine(command(behaviour.name, 1, 1), options(patience_for(behaviour.name)));
    EXPECT_FALSE(engine) << behaviour.name;
    if (engine) continue;
    EXPECT_THAT(engine.error().message(), HasSubstr("misbehaver")) << behaviour.name;
  }
}

TEST_F(Misbehaviour, MessagesSayWhatHappened) {
  const auto note = [&](std::string_view kind) { return told(run(kind, 3)); };
  EXPECT_THAT(note("segv"), HasSubstr("signal 11"));
  EXPECT_THAT(note("exit"), HasSubstr("exit status 3"));
  EXPECT_THAT(note("hang"), HasSubstr("none within 0.6 s"));
  EXPECT_THAT(note("memory"), HasSubstr("at most 192 MiB of memory"));
  EXPECT_THAT(note("junk"), HasSubstr("Loading weights"));
  EXPECT_THAT(note("wrong-id"), HasSubstr("an answer to request"));
  EXPECT_THAT(note("error"), HasSubstr("out of cheese"));
  EXPECT_THAT(note("half-file"), HasSubstr("safetensors"));
  EXPECT_THAT(note("link"), HasSubstr("a link"));
  EXPECT_THAT(note("change-checkpoint"), HasSubstr("wrote outside its folder"));
  EXPECT_THAT(note("wrong-dtype"), HasSubstr("dtype F32"));
  EXPECT_THAT(note("too-few-rows"), HasSubstr("expected shape"));
}

TEST_F(Misbehaviour, RandomOnesLeaveTheHarnessStanding) {
  const int count = number_from("ASSAY_MISBEHAVIOURS", 60), seed = number_from("ASSAY_SEED", 1);
  std::mt19937 random{unsigned(seed)};
  int seen = 0;
  for (int i = 0; i < count && !HasFailure(); ++i) {
    const Behaviour& behaviour = kBehaviours[random() % kBehaviours.size()];
    const int request = 1 + int(random() % 30);
    SCOPED_TRACE("re-run: ASSAY_SEED=" + std::to_string(seed) + ", number " + std::to_string(i) + ": " +
                 std::string(behaviour.name) + " at request " + std::to_string(request));
    expect_one(run(behaviour.name, request), behaviour);
    ++seen;
  }
  EXPECT_EQ(seen, count);
  EXPECT_TRUE(std::filesystem::exists(folder_.path()));
}

TEST_F(Misbehaviour, NoProcessAndNoFolderStays) {
  // A place of its own: other tests make and remove folders in the common one meanwhile.
  const std::filesystem::path place = folder_.path() / "temporary";
  std::filesystem::create_directory(place);
  ::setenv("TMPDIR", place.c_str(), 1);
  for (const char* kind : {"none", "hang", "leave-a-child", "segv"}) run(kind, 3);
  ::unsetenv("TMPDIR");
  EXPECT_TRUE(std::filesystem::is_empty(place));
  std::string running;
  FILE* pipe = ::popen(("pgrep -fc 'misbehaver .*" + folder_.path().string() + "'").c_str(), "r");
  char buffer[64];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) running += buffer;
  ::pclose(pipe);
  EXPECT_LE(std::atoi(running.c_str()), 1) << "pgrep's own shell at most";
}

}  // namespace
}  // namespace assay
