// `assay` and `assay verify`: exit codes, options, files. Verdicts are tested where they are made.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "program.h"
#include "reports/json.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kOneCase = "verify --engine reference --golden e2b-tails --filter /short/";

TEST_F(Cli, HelpHasAnExample) {
  const Ran help = assay("--help");
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("verify"), HasSubstr("Example:"), HasSubstr("Exit codes")));
  const Ran verb = assay("verify --help");
  EXPECT_EQ(verb.code, 0);
  for (const char* option :
       {"--engine", "--golden", "--filter", "--path", "--list", "--json", "--junit", "--markdown", "--model",
        "--strict", "--require", "--timeout", "-j", "-v", "--known", "--baseline", "--resume", "--shard", "Example:"})
    EXPECT_THAT(verb.out, HasSubstr(option));
}

TEST_F(Cli, TheVersionIsALine) {
  const Ran ran = assay("--version");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, testing::MatchesRegex("v?[0-9]+\\.[0-9]+.*\n"));
}

TEST_F(Cli, AnUnknownVerbGetsHelpAndExitsWith2) {
  for (const char* arguments : {"", "sideways", "--sideways"}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("assay: "), HasSubstr("verify"))) << arguments;
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(Cli, BadOptionsExitWith2AndSaySo) {
  for (const auto& [arguments, word] :
       std::vector<std::pair<std::string, std::string>>{{"verify --sideways", "--sideways"},
                                                        {"verify --engine nobody", "nobody"},
                                                        {"verify --acts bf16", "--engine"},
                                                        {"verify --engine reference --acts int8", "reference"},
                                                        {"verify --engine cpu --acts fp8", "fp8"},
                                                        {"verify --engine cpu+speed=11", "speed"},
                                                        {"verify --engine cpu --threads 0", "threads"},
                                                        {"verify --golden nothing", "nothing"},
                                                        {"verify --path sideways", "sideways"},
                                                        {"verify --path chunked:0", "chunked:0"},
                                                        {"verify --timeout -1", "--timeout"},
                                                        {"verify --timeout soon", "--timeout"},
                                                        {"verify -j many", "jobs"},
                                                        {"verify --synthetic e3b", "e3b"},
                                                        {"verify --synthetic e2b --golden seed", "--golden"},
                                                        {"verify --keep-synthetic", "--synthetic"},
                                                        {"verify --require reference", "--require"},
                                                        {"verify --shard 3/2", "--shard"},
                                                        {"verify --shard 1", "--shard"},
                                                        {"verify --resume", "--json"},
                                                        {"verify --known /none.toml", "/none.toml"},
                                                        {"verify --baseline /none.json", "/none.json"},
                                                        {"merge", "RUN.json"},
                                                        {"merge /none.json", "/none.json"},
                                                        {"verify --json", "--json"}}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("assay: "), HasSubstr(word))) << arguments;
    EXPECT_EQ(ran.out, "") << arguments;
  }
}

TEST_F(Cli, ListsWhatWouldRunAndRunsNothing) {
  const Ran ran = assay(kOneCase + " --list");
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("reference e2b-tails/short/prefill\n"), HasSubstr("reference e2b-tails/short/decode\n")));
  EXPECT_THAT(ran.out, Not(HasSubstr("passed")));
  EXPECT_EQ(assay("verify --filter no-such-case --list").code, 3);
}

TEST_F(Cli, FullSizeIsRunOnlyWhereItIsAskedFor) {
  EXPECT_THAT(assay("verify --list").out, Not(HasSubstr("synthetic")));
  const Ran one = assay("verify --engine reference --synthetic e2b --list");
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, "reference synthetic-e2b-q4_0/short/prefill\n");
  EXPECT_THAT(assay("verify --engine reference --golden synthetic-e2b-q4_0 --list").out,
              HasSubstr("synthetic-e2b-q4_0/short/decode\n"));
  EXPECT_THAT(assay("verify --synthetic e2b:q4_0 --path decode --list").out, HasSubstr("short/decode\n"));
  EXPECT_THAT(assay("verify --synthetic e4b").err, HasSubstr("e4b: expected one that there is a golden of: e2b:q4_0"));
}

TEST_F(Cli, ACaseIsVerified) {
  const Ran ran = assay(kOneCase);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr(" passed, 0 failed, 0 unsupported in "));
  EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(ran.err, "") << "no progress bar where there is no terminal";
  EXPECT_THAT(assay(kOneCase + " -v --path decode").out, HasSubstr("pass         reference e2b-tails/short/decode"));
}

TEST_F(Cli, JudgingNothingExitsWith3) {
  const Ran ran = assay("verify --filter no-such-case");
  EXPECT_EQ(ran.code, 3);
  EXPECT_EQ(ran.out, "nothing was judged\n");
}

TEST_F(Cli, SettingsArePartOfAnEnginesName) {
  const std::string one = " --golden e2b-blocks --filter /short/prefill";
  const Ran flags = assay("verify --engine cpu --acts bf16 --threads 1 -v" + one);
  EXPECT_EQ(flags.code, 0) << flags.out;
  EXPECT_THAT(flags.out, HasSubstr("pass         cpu+acts=bf16+threads=1 e2b-blocks/short/prefill"));
  EXPECT_EQ(assay("verify --engine cpu+isa=portable" + one).code, 0);
  // They take effect: what is held against the golden moves by far more than any order of sums.
  const std::string packed = " --golden e2b-blocks-q8_0 --filter /beyond-window/prefill";
  EXPECT_THAT(assay("verify --engine cpu" + packed).out, HasSubstr("e-0"));
  const Ran int8 = assay("verify --engine cpu --acts int8" + packed);
  EXPECT_EQ(int8.code, 0) << int8.out;
  EXPECT_THAT(int8.out, testing::Not(HasSubstr("e-0")));
}

TEST_F(Cli, AnEightBitCacheNeedsHeadsOfWholeBlocks) {
  const Ran ran = assay("verify --engine cpu --kv q8_0 --golden e2b-tails --filter /short/ -v");
  EXPECT_EQ(ran.code, 3) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("cpu: kv: expected heads of a multiple of 32, found "));
}

TEST_F(Cli, WhatIsRequiredMustBeJudged) {
  EXPECT_EQ(assay(kOneCase + " --require reference:E2B:decode --strict").code, 0);
  const Ran ran = assay(kOneCase + " --require reference:E2B:batched");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("UNMET reference must support E2B batched: nothing was judged"));
}

TEST_F(Cli, WritesEveryReport) {
  const fs::path json = folder_ / "run.json", junit = folder_ / "run.xml", markdown = folder_ / "run.md";
  const Ran ran =
      assay(kOneCase + " --json " + json.string() + " --junit " + junit.string() + " --markdown " + markdown.string());
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto run = run_from_json(bytes_of(json), json.string());
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_GT(run->results.size(), 3U);
  EXPECT_THAT(bytes_of(junit), HasSubstr("<testsuite name=\"reference.e2b-tails\""));
  EXPECT_THAT(bytes_of(markdown), StartsWith("### assay ✅"));
  const Ran unwritable = assay(kOneCase + " --json /no/such/folder/run.json");
  EXPECT_EQ(unwritable.code, 2);
  EXPECT_THAT(unwritable.err, HasSubstr("/no/such/folder/run.json"));
}

// Films take hundreds of milliseconds; those of the front end that end after one are timeouts.
const std::string kTwoCases = "verify --golden front-end --filter '*/video-*/*'",
                  kLate = kTwoCases + " --timeout 0.001";

TEST_F(Cli, KnownFailuresDoNotFailUntilTheyExpire) {
  const auto known = [&](const std::string& name, const std::string& expires) {
    put(folder_ / "known.toml",
        "[[known]]\nengine = 'front-*'\ncase = '" + name + "'\nreason = 'slow'\nexpires = " + expires + "\n");
    return " --known " + at("known.toml");
  };
  EXPECT_EQ(assay(kLate).code, 1);
  const Ran excused = assay(kLate + known("video-*", "2999-01-01"));
  EXPECT_EQ(excused.code, 0) << excused.out << excused.err;
  EXPECT_THAT(excused.out, HasSubstr("0 passed, 0 failed, 0 unsupported, 3 known failures in "));
  EXPECT_EQ(assay(kLate + known("video-upright", "2999-01-01")).code, 1) << "the other case counts";
  const Ran expired = assay(kLate + known("video-*", "2020-01-01"));
  EXPECT_EQ(expired.code, 1);
  EXPECT_THAT(expired.out, HasSubstr("EXPIRED front-* */video-*/*: known until 2020-01-01: slow\n"));
  const Ran passes = assay(kTwoCases + known("video-upright", "2999-01-01"));
  EXPECT_EQ(passes.code, 0) << passes.out;
  EXPECT_THAT(passes.out, HasSubstr("UNEXPECTED PASS front-end front-end/video-upright/process: expected to fail"));
  const Ran strict = assay(kTwoCases + " --strict" + known("video-upright", "2999-01-01"));
  EXPECT_EQ(strict.code, 1);
  EXPECT_THAT(strict.out, HasSubstr("UNMET --strict: front-end passes 1 that a known failure covers\n"));
  const Ran malformed = assay(kTwoCases + known("video-upright", "'soon'"));
  EXPECT_EQ(malformed.code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("known.toml: known[0].expires: expected a day"));
  EXPECT_EQ(malformed.out, "");
}

TEST_F(Cli, OnlyWhatGotWorseThanTheBaselineFails) {
  const std::string good = at("good.json"), bad = at("bad.json");
  ASSERT_EQ(assay(kTwoCases + " --json " + good).code, 0);
  ASSERT_EQ(assay(kLate + " --json " + bad).code, 1);
  EXPECT_EQ(assay(kTwoCases + " --baseline " + good).code, 0);
  EXPECT_EQ(assay(kTwoCases + " --baseline " + bad).code, 0);
  const Ran before = assay(kLate + " --baseline " + bad);
  EXPECT_EQ(before.code, 0) << before.out;
  EXPECT_THAT(before.out, HasSubstr("3 failures as in the baseline in "));
  const Ran worse = assay(kLate + " --baseline " + good);
  EXPECT_EQ(worse.code, 1);
  EXPECT_THAT(worse.out, HasSubstr("  baseline    it passed there\n"));
  EXPECT_EQ(assay("verify --golden front-end --filter '*/video/*' --timeout 0.001 --baseline " + bad).code, 1)
      << "a new case";
  put(bad, "{}");
  const Ran malformed = assay(kTwoCases + " --baseline " + bad);
  EXPECT_EQ(malformed.code, 2);
  EXPECT_THAT(malformed.err, HasSubstr("bad.json"));
}

// Two engines and the front end, some dozens of cases.
const std::string kSome =
    "verify --engine cpu --engine reference --engine front-end --golden e2b-tails --golden front-end --golden seed "
    "--filter '*/[bsv]*/*'";

/// A report without its times.
std::string timeless(const fs::path& file) {
  const std::string text = bytes_of(file);
  EXPECT_FALSE(text.empty()) << file;
  static const std::regex times(R"re("seconds":[-+.e0-9]+|time="[.0-9]+"|, [.0-9]+ s</sub>)re");
  return std::regex_replace(text, times, "TIME");
}

TEST_F(Cli, ReportsAreTheSameHoweverManyProcessesThereAre) {
  ASSERT_EQ(assay(kSome + " -j 1 --json " + at("1.json")).code, 0);
  ASSERT_EQ(assay(kSome + " -j 7 --json " + at("7.json")).code, 0);
  EXPECT_EQ(timeless(folder_ / "1.json"), timeless(folder_ / "7.json"));
}

TEST_F(Cli, PartsMakeTheReportOfTheWhole) {
  // A failure, a known one and a demand that only the whole can be held to come along.
  put(folder_ / "known.toml",
      "[[known]]\ncase = 'video-upright'\nreason = 'r'\nexpires = 2999-01-01\n"
      "[[known]]\ncase = 'none'\nreason = 'old'\nexpires = 2020-01-01\n");
  const std::string run =
      kSome + " --timeout 60 --strict --require cpu:E2B:batched --require cpu:31B:decode --known " + at("known.toml");
  const auto reports = [&](const std::string& name) {
    return " --json " + at(name + ".json") + " --junit " + at(name + ".xml") + " --markdown " + at(name + ".md");
  };
  const Ran whole = assay(run + reports("whole"));
  EXPECT_EQ(whole.code, 1) << whole.out << whole.err;
  EXPECT_THAT(whole.out, HasSubstr("UNEXPECTED PASS front-end front-end/video-upright/process"));
  std::string files;
  for (const char* part : {"3", "1", "2"}) {
    const Ran ran = assay(run + " --shard " + part + "/3 --json " + at(std::string("part-") + part + ".json"));
    EXPECT_THAT(ran.code, testing::AnyOf(0, 1)) << ran.out << ran.err;
    EXPECT_THAT(ran.out, Not(HasSubstr("nothing was judged"))) << "a part is not blamed for what it lacks";
    files += " " + at(std::string("part-") + part + ".json");
  }
  const Ran merged = assay("merge" + files + reports("merged"));
  EXPECT_EQ(merged.code, whole.code) << merged.out << merged.err;
  for (const char* kind : {".json", ".xml", ".md"})
    EXPECT_EQ(timeless(at(std::string("merged") + kind)), timeless(at(std::string("whole") + kind))) << kind;
  EXPECT_THAT(merged.out, HasSubstr("UNMET cpu must support 31B decode: nothing was judged"));

  const Ran missing = assay("merge " + at("part-1.json") + " " + at("part-3.json"));
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("part 2 is missing"));
  EXPECT_EQ(assay("merge " + at("whole.json")).code, 2);
  ASSERT_EQ(assay(kSome + " --shard 2/3 --json " + at("other.json")).code, 0);
  const Ran other = assay("merge " + at("part-1.json") + " " + at("part-3.json") + " " + at("other.json"));
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.err, HasSubstr("other.json: shard.about: "));

  std::string lists;
  for (const char* part : {"1/2", "2/2"}) lists += assay(kSome + " --list --shard " + part).out;
  EXPECT_EQ(std::count(lists.begin(), lists.end(), '\n'), [&] {
    const std::string all = assay(kSome + " --list").out;
    return std::count(all.begin(), all.end(), '\n');
  }());
}

// Weights are packed as they are opened, before the children are forked: one child alone may run on several threads.
TEST_F(Cli, PackedWeightsAndAChildOfSeveralThreads) {
  const Ran ran = assay("verify --golden 31b-blocks-q4_0 --engine reference --filter /short/ -j 1 --timeout 60");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
}

/// Starts the program, and kills it once the journal has some lines.
void kill_on_the_way(const std::string& arguments, const fs::path& journal, int lines) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", ("exec " ASSAY_PROGRAM " " + arguments + " >/dev/null 2>&1").c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    const std::string text = fs::exists(journal) ? bytes_of(journal) : "";
    if (std::count(text.begin(), text.end(), '\n') >= lines) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      break;
    }
    ::usleep(2000);
  }
  EXPECT_TRUE(WIFSIGNALED(status)) << "it ended before it could be killed";
}

TEST_F(Cli, AKilledRunGoesOnWhereItStood) {
  const fs::path json = folder_ / "run.json", journal = folder_ / "run.json.journal";
  ASSERT_EQ(assay(kSome + " --json " + at("plain.json")).code, 0);
  const std::string resumed = kSome + " -j 1 --resume --json " + json.string();
  kill_on_the_way(resumed, journal, 5);
  EXPECT_FALSE(fs::exists(json));
  const std::string left = bytes_of(journal);
  put(journal, left + R"({"unit":"cpu e2b-tails/sho)");  // as a kill within a line leaves it
  const Ran ran = assay(resumed);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("run.json.journal: " + std::to_string(std::count(left.begin(), left.end(), '\n') - 1) +
                                 " cases are done\n"));
  EXPECT_EQ(timeless(json), timeless(folder_ / "plain.json"));
  EXPECT_FALSE(fs::exists(journal));

  put(journal, left);
  const Ran other = assay(kOneCase + " --resume --json " + json.string());
  EXPECT_EQ(other.code, 0);
  EXPECT_THAT(other.err, HasSubstr("run.json.journal: begun anew: engines: "));
  EXPECT_FALSE(fs::exists(journal));
  // What the journal says is what is reported: it is read, and not run again.
  std::string bent = left;
  bent.replace(bent.find("\"verdict\":\"pass\""), 16, "\"verdict\":\"crash\"");
  put(journal, bent);
  EXPECT_EQ(assay(resumed).code, 1);
}

TEST_F(Cli, TheRerunCommandRunsJustThat) {
  const fs::path json = folder_ / "run.json";
  ASSERT_EQ(assay(kOneCase + " --json " + json.string()).code, 0);
  const auto all = run_from_json(bytes_of(json), "");
  ASSERT_TRUE(all);
  const PathResult& one = all->results.back();
  constexpr std::string_view kScript = "./assay ";
  ASSERT_THAT(one.rerun, StartsWith(std::string(kScript)));
  ASSERT_EQ(assay(one.rerun.substr(kScript.size()) + " --json " + json.string()).code, 0);
  const auto again = run_from_json(bytes_of(json), "");
  ASSERT_TRUE(again);
  ASSERT_EQ(again->results.size(), 1U);
  EXPECT_EQ(again->results[0].path, one.path);
  EXPECT_EQ(again->results[0].taps, one.taps);
}

TEST_F(Cli, DataThatIsMissingOrBentCannotBeMeasured) {
  const fs::path data = folder_ / "data";
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

TEST_F(Cli, TheBuiltInListMustBeMetByTheRepositorysGoldens) {
  const Ran ran = assay("verify --engine reference");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, Not(HasSubstr("UNMET")));
}

TEST_F(Cli, ADraftersRoundInLowerPrecisionGetsTheGoldensTokens) {
  // The target in bf16 chooses another newest token in row 2, whose golden's margin is within the noise.
  const Ran ran = assay("verify --engine reference --acts bf16 --golden 31b-draft --filter /padded-batch/ -v");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("1 passed, 0 failed"));
}

}  // namespace
}  // namespace assay
