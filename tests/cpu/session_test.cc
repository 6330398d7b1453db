// What goldens cannot show of the CPU engine: rings that have turned round, threads, instruction sets, the way back.
#include "engine/cpu/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/tolerance.h"
#include "engine/cpu/engine.h"
#include "kernels/isa.h"
#include "kernels/registry.h"
#include "logits.h"
#include "model_of_test.h"
#include "reference/reference.h"

namespace assay::cpu {
namespace {

using Ids = std::vector<std::int64_t>;

Ids ids_of(int count, int seed = 1) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.push_back((i * 37 + seed * 101) % 500 + 3);
  return ids;
}

/// The last token's logits.
std::vector<float> run(Session& session, const Ids& ids, Cache cache, int logit_rows = 1) {
  Logits logits(session.plan());
  const auto done = session.forward(
      {.ids = {ids.data(), 1, int(ids.size())}, .mask = {}, .more = {}, .cache = cache, .logit_rows = logit_rows},
      logits);
  EXPECT_TRUE(done) << done.error().message();
  return logits.values;
}

std::unique_ptr<Session> open(const Options& options = {}, SyntheticFormat format = SyntheticFormat::bf16) {
  return cpu_engine(options).open(test_checkpoint(format)).value();
}

void expect_near(const std::vector<float>& actual, const std::vector<float>& expected, const std::string& what) {
  const Tolerance allowed = fp32_engine();
  ASSERT_EQ(actual.size(), expected.size()) << what;
  ASSERT_FALSE(actual.empty());
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_NEAR(actual[i], expected[i], allowed.atol + allowed.rtol * std::abs(expected[i])) << what << ", logit " << i;
}

TEST(CpuSession, RingsThatHaveTurnedRoundSeveralTimesAnswerAsTheOracleWithoutACache) {
  const Ids ids = ids_of(330);
  const auto session = open();
  const auto oracle = reference_engine().open(test_checkpoint()).value();
  const Ids prompt(ids.begin(), ids.begin() + 130);
  run(*session, prompt, Cache::fresh);  // twice a unit of a ring, and a part
  for (std::size_t i = 130; i < 329; ++i) run(*session, {ids[i]}, Cache::extend);
  expect_near(run(*session, {ids[329]}, Cache::extend), run(*oracle, ids, Cache::none), "330 tokens");
}

TEST(CpuSession, APromptOfSeveralPiecesAnswersAsTheOracle) {
  const Ids ids = ids_of(1100);  // more than one arena's rows
  const auto session = open();
  const auto oracle = reference_engine().open(test_checkpoint()).value();
  const std::vector<float> expected = run(*oracle, ids, Cache::none, 600);
  expect_near(run(*session, ids, Cache::fresh, 600), expected, "600 rows of logits");
  expect_near(run(*session, ids, Cache::none, 600), expected, "without a cache");
}

TEST(CpuSession, GoesBackAcrossARingsBorder) {
  const Ids ids = ids_of(200), wrong = ids_of(40, 2);
  const auto session = open();
  const int border = kTestWindow + 1 + KvCache::kSpare;
  for (const int kept : {border - 1, border, border + 1, 2 * border - 3, 2 * border}) {
    run(*session, Ids(ids.begin(), ids.begin() + kept), Cache::fresh);
    run(*session, wrong, Cache::extend);
    const std::vector<int> keep{kept};
    ASSERT_TRUE(session->truncate(keep));
    const Ids rest(ids.begin() + kept, ids.begin() + kept + 20);
    const std::vector<float> back = run(*session, rest, Cache::extend);
    expect_near(back, run(*session, Ids(ids.begin(), ids.begin() + kept + 20), Cache::fresh),
                "back at " + std::to_string(kept));
  }
}

TEST(CpuSession, RefusesToGoBackFartherThanItsRingsRemember) {
  const auto session = open();
  run(*session, ids_of(400), Cache::fresh);
  const std::vector<int> far{400 - KvCache::kSpare - 1}, near{400 - KvCache::kSpare}, nothing{0};
  const auto refused = session->truncate(far);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Failure::unsupported);
  EXPECT_TRUE(session->truncate(near));
  EXPECT_TRUE(session->truncate(nothing));
  const Ids ids = ids_of(30);
  const std::vector<float> again = run(*session, ids, Cache::extend);
  EXPECT_EQ(again, run(*session, ids, Cache::fresh));
}

TEST(CpuSession, ThatHasGoneBackToNothingTakesAnotherBatch) {
  const auto session = open();
  run(*session, ids_of(20), Cache::fresh);
  const std::vector<int> nothing{0};
  ASSERT_TRUE(session->truncate(nothing));
  const Ids ids = ids_of(30);
  Ids twice = ids;
  twice.insert(twice.end(), ids.begin(), ids.end());
  Logits logits(session->plan());
  ASSERT_TRUE(session->forward(
      {.ids = {twice.data(), 2, 30}, .mask = {}, .more = {}, .cache = Cache::extend, .logit_rows = 1}, logits));
  const std::vector<float> one = run(*open(), ids, Cache::fresh);
  std::vector<float> expected = one;
  expected.insert(expected.end(), one.begin(), one.end());
  expect_near(logits.values, expected, "two rows");
}

TEST(CpuSession, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const auto& [acts, format] :
       {std::pair(kernels::Acts::fp32, SyntheticFormat::bf16), std::pair(kernels::Acts::bf16, SyntheticFormat::bf16),
        std::pair(kernels::Acts::int8, SyntheticFormat::q8_0)}) {
    std::vector<std::vector<float>> seen;
    for (const int threads : {1, 2, 3, 7}) {
      const auto session = open({.acts = acts, .threads = threads}, format);
      std::vector<float> all = run(*session, ids_of(150), Cache::fresh, 150);
      const std::vector<float> next = run(*session, {11}, Cache::extend);
      all.insert(all.end(), next.begin(), next.end());
      seen.push_back(std::move(all));
      EXPECT_EQ(seen.back(), seen.front()) << threads << " threads, " << kernels::name(acts);
    }
  }
}

TEST(CpuSession, EveryInstructionSetAnswersAsTheOracle) {
  const Ids ids = ids_of(90);
  for (const SyntheticFormat format :
       {SyntheticFormat::f32, SyntheticFormat::bf16, SyntheticFormat::q8_0, SyntheticFormat::q4_0}) {
    const auto oracle = reference_engine().open(test_checkpoint(format)).value();
    const std::vector<float> expected = run(*oracle, ids, Cache::none, 90);
    int tried = 0;
    for (const kernels::Isa isa : {
#define ISA(name, architecture, needs) kernels::Isa::name,
#include "kernels/cpu/isas.inc"
#undef ISA
         }) {
      if ((kernels::needs(isa) & ~kernels::machine_features()) != 0) continue;
      const auto session = open({.isa = isa}, format);
      expect_near(run(*session, ids, Cache::fresh, 90), expected, std::string(kernels::name(isa)));
      ++tried;
    }
    EXPECT_GE(tried, 2);
  }
}

TEST(CpuSession, ComputesNoRowsThatNobodyAsksForAndGetsTheSameLogits) {
  const Ids ids = ids_of(100);
  const auto session = open();
  const std::vector<float> all = run(*session, ids, Cache::fresh, 100), last = run(*session, ids, Cache::fresh, 1);
  const std::vector<float> of_all(all.end() - std::ptrdiff_t(last.size()), all.end());
  expect_near(last, of_all, "the last row alone");
}

}  // namespace
}  // namespace assay::cpu
