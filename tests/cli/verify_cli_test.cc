// The built program: exit codes, options, files. Its verdicts are tested where they are made.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/json.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Ran {
  int code = -1;
  std::string out, err;
};

std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A folder of this test's own.
fs::path folder() {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  fs::path path =
      fs::path(testing::TempDir()) / ("assay_cli_" + std::string(test->name()) + std::to_string(::getpid()));
  fs::create_directories(path);
  return path;
}

Ran assay(const std::string& arguments, const std::string& environment = "") {
  const fs::path err = folder() / "stderr";
  FILE* pipe = ::popen((environment + " " ASSAY_PROGRAM " " + arguments + " 2>" + err.string()).c_str(), "r");
  Ran ran;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.out.append(buffer, got);
  const int status = ::pclose(pipe);
  ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ran.err = slurp(err);
  return ran;
}

const std::string kOneCase = "verify --engine reference --golden e2b-tails --filter /short/";

TEST(Cli, HelpIsFastAndHasAnExample) {
  assay("--help");  // warm
  const auto start = std::chrono::steady_clock::now();
  const Ran help = assay("--help");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(500));
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("verify"), HasSubstr("Example:"), HasSubstr("Exit codes")));
  const Ran verb = assay("verify --help");
  EXPECT_EQ(verb.code, 0);
  for (const char* option : {"--engine", "--golden", "--filter", "--path", "--list", "--json", "--junit", "--markdown",
                             "--strict", "--require", "--timeout", "-j", "-v", "Example:"})
    EXPECT_THAT(verb.out, HasSubstr(option));
}

TEST(Cli, TheVersionIsALine) {
  const Ran ran = assay("--version");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, testing::MatchesRegex("v?[0-9]+\\.[0-9]+.*\n"));
}

TEST(Cli, AnUnknownVerbGetsHelpAndExitsWith2) {
  for (const char* arguments : {"", "sideways", "--sideways"}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("assay: "), HasSubstr("verify"))) << arguments;
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Cli, BadOptionsExitWith2AndSaySo) {
  for (const auto& [arguments, word] :
       std::vector<std::pair<std::string, std::string>>{{"verify --sideways", "--sideways"},
                                                        {"verify --engine nobody", "nobody"},
                                                        {"verify --golden nothing", "nothing"},
                                                        {"verify --path sideways", "sideways"},
                                                        {"verify --path chunked:0", "chunked:0"},
                                                        {"verify --timeout -1", "--timeout"},
                                                        {"verify --timeout soon", "--timeout"},
                                                        {"verify -j many", "jobs"},
                                                        {"verify --require reference", "--require"},
                                                        {"verify --json", "--json"}}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("assay: "), HasSubstr(word))) << arguments;
    EXPECT_EQ(ran.out, "") << arguments;
  }
}

TEST(Cli, ListsWhatWouldRunAndRunsNothing) {
  const Ran ran = assay(kOneCase + " --list");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("reference e2b-tails/short/prefill\n"), HasSubstr("reference e2b-tails/short/decode\n")));
  EXPECT_THAT(ran.out, Not(HasSubstr("passed")));
  EXPECT_EQ(assay("verify --filter no-such-case --list").code, 3);
}

TEST(Cli, ACaseIsVerified) {
  const Ran ran = assay(kOneCase);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr(" passed, 0 failed, 0 unsupported in "));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(ran.err, "") << "no progress bar where there is no terminal";
  EXPECT_THAT(assay(kOneCase + " -v --path decode").out, HasSubstr("pass         reference e2b-tails/short/decode"));
}

TEST(Cli, JudgingNothingExitsWith3) {
  const Ran ran = assay("verify --filter no-such-case");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.out, "nothing was judged\n");
}

TEST(Cli, WhatIsRequiredMustBeJudged) {
  EXPECT_EQ(assay(kOneCase + " --require reference:E2B:decode --strict").code, 0);
  const Ran ran = assay(kOneCase + " --require reference:E2B:batched");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("UNMET reference must support E2B batched: nothing was judged"));
}

TEST(Cli, WritesEveryReport) {
  const fs::path json = folder() / "run.json", junit = folder() / "run.xml", markdown = folder() / "run.md";
  const Ran ran =
      assay(kOneCase + " --json " + json.string() + " --junit " + junit.string() + " --markdown " + markdown.string());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto run = run_from_json(slurp(json), json.string());
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_GT(run->results.size(), 3U);
  EXPECT_THAT(slurp(junit), HasSubstr("<testsuite name=\"reference.e2b-tails\""));
  EXPECT_THAT(slurp(markdown), StartsWith("### assay ✅"));
  const Ran unwritable = assay(kOneCase + " --json /no/such/folder/run.json");
  EXPECT_EQ(unwritable.code, 2);
  EXPECT_THAT(unwritable.err, HasSubstr("/no/such/folder/run.json"));
}

TEST(Cli, TheRerunCommandRunsJustThat) {
  const fs::path json = folder() / "run.json";
  ASSERT_EQ(assay(kOneCase + " --json " + json.string()).code, 0);
  const auto all = run_from_json(slurp(json), "");
  ASSERT_TRUE(all);
  const PathResult& one = all->results.back();
  constexpr std::string_view kScript = "./assay ";
  ASSERT_THAT(one.rerun, StartsWith(std::string(kScript)));
  ASSERT_EQ(assay(one.rerun.substr(kScript.size()) + " --json " + json.string()).code, 0);
  const auto again = run_from_json(slurp(json), "");
  ASSERT_TRUE(again);
  ASSERT_EQ(again->results.size(), 1U);
  EXPECT_EQ(again->results[0].path, one.path);
  EXPECT_EQ(again->results[0].taps, one.taps);
}

TEST(Cli, DataThatIsMissingOrBentCannotBeMeasured) {
  const fs::path data = folder() / "data";
  EXPECT_EQ(assay("verify", "ASSAY_DATA=" + data.string()).code, 2);
  fs::create_directories(data);
  fs::copy(ASSAY_SOURCE_DIR "/golden/data/e2b-tails", data / "e2b-tails", fs::copy_options::recursive);
  fs::copy(ASSAY_SOURCE_DIR "/golden/data/MANIFEST.json", data / "MANIFEST.json");
  const std::string environment = "ASSAY_DATA=" + data.string(),
                    one = "verify --golden e2b-tails --filter /short/ --path prefill";
  EXPECT_EQ(assay(one, environment).code, 0);
  {
    std::fstream file(data / "e2b-tails" / "golden.h5", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4000);
    file.put('!');
  }
  const Ran ran = assay(one, environment);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("golden.h5"));
}

TEST(Cli, TheBuiltInListMustBeMetByTheRepositorysGoldens) {
  const Ran ran = assay("verify --engine reference");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, Not(HasSubstr("UNMET")));
}

}  // namespace
}  // namespace assay
