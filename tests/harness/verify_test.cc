// Every way in which an engine can go wrong becomes its verdict, and costs no other result.
#include "harness/verify/verify.h"

#include <cstdlib>
#include <limits>
#include <map>
#include <stdexcept>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/fake.h"
#include "harness/verify/verify_case.h"

namespace assay {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr TapId kLogits{Tap::logits, -1};
constexpr TapId kMlp{Tap::mlp, 0};

Subject subject(const GoldenCase& golden, Blocks blocks = Blocks::causal) {
  Subject out{.name = "tiny", .variant = "E2B", .checkpoint = {}, .cases = {golden.name}, .load = {}};
  out.checkpoint.plan = fake::plan(blocks);
  out.load = [golden](std::string_view) -> Result<GoldenCase> { return golden; };
  return out;
}

GoldenCase golden(int batch = 1, int tokens = 4) { return fake::golden(fake::plan(), fake::inputs(batch, tokens)); }

std::vector<PathResult> run(const Engine& engine, const Subject& subject, Selection selection = {},
                            double timeout = 30) {
  const Engine* engines[] = {&engine};
  VerifyOptions options{.selection = std::move(selection),
                        .children = 2,
                        .timeout = std::chrono::duration<double>(timeout),
                        .progress = {}};
  Result<std::vector<PathResult>> results = verify(engines, std::span(&subject, 1), options);
  EXPECT_TRUE(results) << results.error().message();
  return results ? *results : std::vector<PathResult>();
}

std::vector<Verdict> verdicts(const std::vector<PathResult>& results) {
  std::vector<Verdict> out;
  out.reserve(results.size());
  for (const PathResult& result : results) out.push_back(result.verdict);
  return out;
}

/// Of a bent engine on the paths of a case of one row: prefill, nocache, chunked:2, decode.
std::vector<PathResult> bent(const std::function<void(fake::FakeSession&)>& prepare, double timeout = 30) {
  return run(fake::engine(prepare), subject(golden()), {}, timeout);
}

const TapResult* tap_of(const PathResult& result, std::string_view tap, std::string_view mode) {
  for (const TapResult& one : result.taps)
    if (one.tap == tap && one.mode == mode) return &one;
  return nullptr;
}

TEST(Verify, ACorrectEnginePassesOnEveryPathInThreeModes) {
  const std::vector<PathResult> results = run(fake::engine(), subject(golden()));
  ASSERT_THAT(results, SizeIs(4));
  EXPECT_THAT(verdicts(results), Each(Verdict::pass));
  const std::size_t taps = all_taps(fake::plan()).size();
  for (const PathResult& result : results) {
    EXPECT_EQ(result.engine, "fake");
    EXPECT_EQ(result.golden, "tiny");
    EXPECT_EQ(result.variant, "E2B");
    EXPECT_EQ(result.case_name, "case");
    EXPECT_THAT(result.taps, SizeIs(taps + 3));
    EXPECT_NE(tap_of(result, "text.layer.00.mlp", "taps"), nullptr);
    EXPECT_NE(tap_of(result, "text.logits", "taps"), nullptr);
    EXPECT_NE(tap_of(result, "text.logits", "logits"), nullptr);
    EXPECT_NE(tap_of(result, "generated_logits", "ids"), nullptr);
    EXPECT_NE(tap_of(result, "generated_ids", "ids"), nullptr);
  }
  EXPECT_EQ(results[2].path, "chunked:2");
  EXPECT_EQ(results[2].rerun, "./assay verify --engine fake --golden tiny --filter '/case/' --path chunked:2");
}

TEST(Verify, ABatchIsBatched) {
  const std::vector<PathResult> results = run(fake::engine(), subject(golden(3, 4)));
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].path, "batched");
  EXPECT_EQ(results[0].verdict, Verdict::pass);
}

TEST(Verify, WrongNumbersFailAtTheFirstTapThatHasThem) {
  const std::vector<PathResult> results = bent([](fake::FakeSession& s) {
    s.bend = [](TapId id, std::vector<float>& values) {
      if (id == kMlp || id.tap == Tap::out) values[0] += 0.01F;
    };
  });
  EXPECT_THAT(verdicts(results),
              ElementsAre(Verdict::fail_numeric, Verdict::fail_numeric, Verdict::fail_numeric, Verdict::fail_numeric));
  EXPECT_EQ(first_failure(results[0])->tap, "text.layer.00.mlp");
}

TEST(Verify, NansAndZerosAndWrongShapes) {
  const auto with = [](const std::function<void(std::vector<float>&)>& bend) {
    return [bend](fake::FakeSession& s) {
      s.bend = [bend](TapId id, std::vector<float>& values) {
        if (id == kMlp) bend(values);
      };
    };
  };
  EXPECT_THAT(verdicts(bent(with([](auto& v) { v[0] = std::numeric_limits<float>::quiet_NaN(); }))),
              Each(Verdict::fail_nan));
  EXPECT_THAT(verdicts(bent(with([](auto& v) { std::fill(v.begin(), v.end(), 0.0F); }))), Each(Verdict::fail_numeric));
  const std::vector<PathResult> wide =
      bent([](fake::FakeSession& s) { s.extra_columns = [](TapId id) { return id == kMlp ? 1 : 0; }; });
  EXPECT_THAT(verdicts(wide), Each(Verdict::fail_shape));
  EXPECT_EQ(first_failure(wide[0])->tap, "text.layer.00.mlp");
}

TEST(Verify, ATapOfferedTwiceOrNeverBreaksTheContract) {
  for (const int times : {0, 2}) {
    const std::vector<PathResult> results =
        bent([=](fake::FakeSession& s) { s.times = [=](TapId id) { return id == kMlp ? times : 1; }; });
    EXPECT_THAT(verdicts(results), Each(Verdict::fail_shape)) << times;
    EXPECT_THAT(first_failure(results[0])->note, HasSubstr(times == 0 ? "never" : "a second time"));
  }
}

TEST(Verify, AFaultOfTheUnfusedRunAloneIsTold) {
  const std::vector<PathResult> results = bent([](fake::FakeSession& s) {
    s.bend = [&s](TapId id, std::vector<float>& values) {
      if (id == kLogits && s.calls.back().logit_rows == 0 && s.calls.size() == 2)
        values[0] += 1;  // the second run: logits alone
    };
  });
  EXPECT_EQ(results[0].verdict, Verdict::fail_numeric);
  EXPECT_EQ(first_failure(results[0])->mode, "logits");
}

TEST(Verify, WhatIsWrongOnlyWhileGeneratingIsFound) {
  const std::vector<PathResult> results = bent([](fake::FakeSession& s) {
    s.bend = [&s](TapId id, std::vector<float>& values) {
      if (id == kLogits && s.calls.back().logit_rows == 1) values[9] += 5;
    };
  });
  EXPECT_THAT(verdicts(results), Each(Verdict::fail_numeric));
  EXPECT_EQ(first_failure(results[0])->tap, "generated_logits");
  EXPECT_TRUE(failed(tap_of(results[0], "generated_ids", "ids")->verdict));
  for (const PathResult& result : results) EXPECT_EQ(tap_of(result, "text.logits", "logits")->verdict, Verdict::pass);
}

TEST(Verify, NanLogitsWhileGeneratingAreFailNan) {
  const std::vector<PathResult> results = bent([](fake::FakeSession& s) {
    s.bend = [&s](TapId id, std::vector<float>& values) {
      if (id == kLogits && s.calls.back().logit_rows == 1) values[1] = std::numeric_limits<float>::quiet_NaN();
    };
  });
  EXPECT_THAT(verdicts(results), Each(Verdict::fail_nan));
}

TEST(Verify, ACrashCostsOnlyThePathItHappensOn) {
  const std::vector<std::pair<std::function<void()>, std::string>> ends{
      {[] { std::abort(); }, "signal 6"},
      {[] { ::kill(::getpid(), SIGSEGV); }, "signal 11"},
      {[] { throw std::runtime_error("out of cheese"); }, "out of cheese"},
      {[] { ::_exit(0); }, "status 0"},
  };
  for (const auto& [end, what] : ends) {
    const std::vector<PathResult> results = bent([&, end = end](fake::FakeSession& s) {
      s.before = [end](const Forward& call) {
        if (call.cache == Cache::none) end();
        return Result<void>();
      };
    });
    EXPECT_THAT(verdicts(results), ElementsAre(Verdict::pass, Verdict::crash, Verdict::pass, Verdict::pass)) << what;
    EXPECT_EQ(results[1].path, "nocache");
    EXPECT_THAT(results[1].note, HasSubstr(what));
    EXPECT_THAT(results[1].rerun, HasSubstr("--path nocache"));
  }
}

TEST(Verify, ACrashWhereverItIsHasItsResult) {
  const std::vector<PathResult> results = bent([](fake::FakeSession&) { std::abort(); });
  EXPECT_THAT(verdicts(results), ElementsAre(Verdict::crash, Verdict::crash, Verdict::crash, Verdict::crash));
}

TEST(Verify, AHangIsATimeoutForThatPathAndThoseAfterIt) {
  const std::vector<PathResult> results = bent(
      [](fake::FakeSession& s) {
        s.before = [](const Forward& call) {
          while (call.cache == Cache::none) ::usleep(1000);
          return Result<void>();
        };
      },
      0.5);
  EXPECT_THAT(verdicts(results), ElementsAre(Verdict::pass, Verdict::timeout, Verdict::timeout, Verdict::timeout));
  EXPECT_THAT(results[2].note, HasSubstr("nocache took all the time"));
}

TEST(Verify, WhatAnEngineCannotDoIsUnsupported) {
  Engine engine = fake::engine();
  engine.can.cache = false;
  EXPECT_THAT(verdicts(run(engine, subject(golden()))),
              ElementsAre(Verdict::unsupported, Verdict::pass, Verdict::unsupported, Verdict::unsupported));
  engine = fake::engine();
  engine.can.batch = false;
  EXPECT_THAT(verdicts(run(engine, subject(golden(2, 3)))), ElementsAre(Verdict::unsupported));
  const auto refuses = [](fake::FakeSession& s) {
    s.before = [](const Forward&) -> Result<void> { return fail({Failure::unsupported, "fake", "this", "", ""}); };
  };
  EXPECT_THAT(verdicts(bent(refuses)), Each(Verdict::unsupported));
  engine = fake::engine();
  engine.can.arithmetic = "int2";
  EXPECT_THAT(verdicts(run(engine, subject(golden()))), Each(Verdict::unsupported))
      << "ids alone are not a verified engine";
}

TEST(Verify, AnEngineThatRefusesRightInputsCrashed) {
  const std::vector<PathResult> results = bent([](fake::FakeSession& s) {
    s.before = [](const Forward&) -> Result<void> {
      return fail({Failure::bad_input, "fake", "input_ids", "others", ""});
    };
  });
  EXPECT_THAT(verdicts(results), Each(Verdict::crash));
  Engine closed = fake::engine();
  closed.open = [](const Checkpoint&) -> Result<std::unique_ptr<Session>> {
    return fail({Failure::io, "w", "", "", "no memory"});
  };
  EXPECT_THAT(run(closed, subject(golden())), Each(Field(&PathResult::verdict, Verdict::crash)));
}

TEST(Verify, TapsThatTheEngineLacksAreLeftOut) {
  Engine engine = fake::engine([](fake::FakeSession& s) { s.times = [](TapId id) { return id == kLogits ? 1 : 0; }; });
  engine.can.taps = {};
  const std::vector<PathResult> results = run(engine, subject(golden()));
  EXPECT_THAT(verdicts(results), Each(Verdict::pass));
  EXPECT_THAT(results[0].taps, SizeIs(3)) << "logits alone, and what is generated";
}

TEST(Verify, AGoldenThatProvesNothingFails) {
  GoldenCase empty = golden();
  for (float& v : fake::tap(empty, "text.layer.00.mlp").values) v = 0;
  const std::vector<PathResult> results = run(fake::engine([](fake::FakeSession& s) {
                                                s.bend = [](TapId id, std::vector<float>& values) {
                                                  if (id == kMlp) std::fill(values.begin(), values.end(), 0.0F);
                                                };
                                              }),
                                              subject(empty));
  EXPECT_THAT(verdicts(results), Each(Verdict::fail_numeric));
  EXPECT_THAT(first_failure(results[0])->note, HasSubstr("vacuous golden"));
  EXPECT_EQ(first_failure(results[0])->tap, "text.layer.00.mlp");
}

TEST(Verify, AGoldenWithoutAnythingTheEngineOffersIsNoGolden) {
  GoldenCase bare = golden();
  bare.taps.clear();
  bare.generated = 0;
  bare.generated_ids.clear();
  Subject one = subject(bare);
  Result<std::vector<Planned>> planned = plan_of(std::span(&one, 1), {});
  ASSERT_TRUE(planned);
  EXPECT_THAT(run(fake::engine(), one), Each(Field(&PathResult::verdict, Verdict::no_golden)));
}

TEST(Verify, TheFilterNarrowsPathsAndTaps) {
  Selection selection;
  selection.filter = "nocache/text.layer.00.mlp";
  const std::vector<PathResult> results = run(fake::engine(), subject(golden()), selection);
  ASSERT_THAT(results, SizeIs(1));
  EXPECT_EQ(results[0].path, "nocache");
  ASSERT_THAT(results[0].taps, SizeIs(1));
  EXPECT_EQ(results[0].taps[0].tap, "text.layer.00.mlp");
  selection.filter = "generated_ids";
  EXPECT_THAT(run(fake::engine(), subject(golden()), selection), SizeIs(4));
  selection.filter = "decode/generated_logits";
  EXPECT_THAT(run(fake::engine(), subject(golden()), selection), ElementsAre(Field(&PathResult::taps, SizeIs(1))));
  selection.filter = "elsewhere";
  EXPECT_THAT(run(fake::engine(), subject(golden()), selection), IsEmpty());
}

TEST(Verify, TheRerunCommandsSelectionRunsJustThat) {
  const std::vector<PathResult> all = run(fake::engine(), subject(golden()));
  Selection selection;
  selection.filter = "/case/";
  selection.paths = {"chunked:2"};
  const std::vector<PathResult> again = run(fake::engine(), subject(golden()), selection);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].taps, all[2].taps);
}

TEST(Verify, TheListIsWhatRuns) {
  const Subject one = subject(golden());
  const Result<std::vector<Planned>> planned = plan_of(std::span(&one, 1), {});
  ASSERT_TRUE(planned);
  const std::vector<PathResult> results = run(fake::engine(), one);
  ASSERT_EQ(planned->size(), results.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ((*planned)[i].path, results[i].path);
    EXPECT_EQ((*planned)[i].case_name, results[i].case_name);
  }
}

TEST(Verify, ACaseThatCannotBeReadIsNoVerdictOnTheEngine) {
  Subject broken = subject(golden());
  broken.load = [](std::string_view) -> Result<GoldenCase> {
    return fail({Failure::bad_input, "g.h5", "taps", "floats", "text"});
  };
  const Engine engine = fake::engine();
  const Engine* engines[] = {&engine};
  const auto results = verify(engines, std::span(&broken, 1), {});
  ASSERT_FALSE(results);
  EXPECT_EQ(results.error().kind, Failure::bad_input);
  EXPECT_THAT(results.error().message(), HasSubstr("taps"));
  broken.load = [](std::string_view) -> Result<GoldenCase> { std::abort(); };
  EXPECT_FALSE(verify(engines, std::span(&broken, 1), {}));
}

TEST(Verify, ProgressReachesItsEnd) {
  const Engine engine = fake::engine([](fake::FakeSession& s) {
    s.before = [](const Forward& call) {
      if (call.cache == Cache::none) std::abort();
      return Result<void>();
    };
  });
  const Engine* engines[] = {&engine};
  const Subject one = subject(golden());
  std::vector<std::pair<std::size_t, std::size_t>> seen;
  VerifyOptions options;
  options.progress = [&](std::size_t done, std::size_t all) { seen.emplace_back(done, all); };
  ASSERT_TRUE(verify(engines, std::span(&one, 1), options));
  EXPECT_THAT(seen, ElementsAre(std::pair(1U, 1U), std::pair(1U, 1U)))
      << "cases are counted; a crash brings its case again, for the paths after it";
}

TEST(Verify, TwoEnginesAndManyCasesKeepTheirOrder) {
  const Engine first = fake::engine();
  Engine second = fake::engine();
  second.can.name = "other";
  const Engine* engines[] = {&first, &second};
  GoldenCase a = golden(), b = golden(2, 3);
  Subject both = subject(a);
  both.cases = {"a", "b"};
  both.load = [&](std::string_view name) -> Result<GoldenCase> {
    GoldenCase out = name == "a" ? a : b;
    out.name = name;
    return out;
  };
  const auto results = verify(engines, std::span(&both, 1), {});
  ASSERT_TRUE(results);
  std::vector<std::string> order;
  for (const PathResult& result : *results) order.push_back(result.engine + " " + result.case_name + " " + result.path);
  EXPECT_THAT(order, ElementsAre("fake a prefill", "fake a nocache", "fake a chunked:2", "fake a decode",
                                 "fake b batched", "other a prefill", "other a nocache", "other a chunked:2",
                                 "other a decode", "other b batched"));
}

TEST(Verify, UnitsAreLeftOutRecalledAndKept) {
  const Engine engine = fake::engine([](fake::FakeSession& s) {
    s.before = [](const Forward& call) {
      if (call.cache == Cache::none) std::abort();  // so that a case takes two children, and is kept once
      return Result<void>();
    };
  });
  const Engine* engines[] = {&engine};
  Subject four = subject(golden());
  four.cases = {"a", "b", "c", "d"};
  four.load = [](std::string_view name) -> Result<GoldenCase> {
    GoldenCase out = golden();
    out.name = name;
    return out;
  };
  EXPECT_THAT(units_of(engines, std::span(&four, 1)),
              ElementsAre("fake tiny/a", "fake tiny/b", "fake tiny/c", "fake tiny/d"));
  const std::vector<PathResult> before = {
      without_taps({"fake", "tiny", "E2B", "b"}, "decode", Verdict::pass, "before")};
  std::map<std::string, std::vector<PathResult>> kept;
  std::vector<std::size_t> done;
  VerifyOptions options{.children = 2};
  options.progress = [&](std::size_t now, std::size_t) { done.push_back(now); };
  options.units = {.takes = [](const std::string& unit) { return unit != "fake tiny/c"; },
                   .recall = [&](const std::string& unit) { return unit == "fake tiny/b" ? &before : nullptr; },
                   .keep = [&](const std::string& unit, std::span<const PathResult> results) -> Result<void> {
                     EXPECT_TRUE(kept.emplace(unit, std::vector<PathResult>(results.begin(), results.end())).second)
                         << unit;
                     return {};
                   }};
  const auto results = verify(engines, std::span(&four, 1), options);
  ASSERT_TRUE(results) << results.error().message();
  std::vector<std::string> order;
  for (const PathResult& result : *results) order.push_back(result.case_name + " " + result.path);
  EXPECT_THAT(order, ElementsAre("a prefill", "a nocache", "a chunked:2", "a decode", "b decode", "d prefill",
                                 "d nocache", "d chunked:2", "d decode"));
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_THAT(kept["fake tiny/a"], SizeIs(4));
  EXPECT_THAT(kept["fake tiny/d"], SizeIs(4));
  EXPECT_EQ(done.front(), 2U) << "the recalled case counts as done";
}

TEST(Verify, WhatCannotBeKeptEndsTheRun) {
  const Engine engine = fake::engine();
  const Engine* engines[] = {&engine};
  const Subject one = subject(golden());
  VerifyOptions options;
  options.units.keep = [](const std::string&, std::span<const PathResult>) -> Result<void> {
    return fail({Failure::io, "journal", "", "", "no space"});
  };
  const auto results = verify(engines, std::span(&one, 1), options);
  ASSERT_FALSE(results);
  EXPECT_THAT(results.error().message(), HasSubstr("no space"));
}

TEST(Verify, TheMachineHasANameAndCores) {
  EXPECT_FALSE(this_machine().cpu.empty());
  EXPECT_GE(this_machine().cores, 1);
}

}  // namespace
}  // namespace assay
