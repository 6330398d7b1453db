#include "harness/sample/sampler.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;

GenerationConfig config_of(const json& keys) {
  const auto config = parse_generation_config(keys.dump(), "case");
  EXPECT_TRUE(config) << config.error().message();
  return config.value_or(GenerationConfig{});
}

// What transformers' processors left of these logits (golden/generate/sampler_cases.py).
TEST(Sampler, LeavesWhatTransformersLeaves) {
  std::ifstream file(ASSAY_SOURCE_DIR "/tests/harness/sampler_cases.json");
  const json cases = json::parse(file);
  ASSERT_EQ(cases.size(), 20U);
  for (const json& one : cases) {
    SCOPED_TRACE(one["what"].get<std::string>());
    std::vector<float> logits;
    for (const json& value : one["logits"])
      logits.push_back(value.is_null() ? -std::numeric_limits<float>::infinity() : value.get<float>());
    const std::vector<Candidate> left = Sampler(config_of(one["config"]), 0).candidates(logits);
    std::vector<std::int64_t> ids;
    ids.reserve(left.size());
    for (const Candidate& candidate : left) ids.push_back(candidate.id);
    ASSERT_EQ(ids, one["ids"].get<std::vector<std::int64_t>>());
    for (std::size_t i = 0; i < left.size(); ++i)  // fp32 sums in another order: a few last places
      EXPECT_NEAR(left[i].probability, one["probabilities"][i].get<double>(), 8 * 0x1p-24) << "id " << left[i].id;
  }
}

TEST(Sampler, GreedyTakesTheFirstOfTheLargestThatIsNotSuppressed) {
  std::vector<float> logits = {1, 5, 5, 9};
  EXPECT_EQ(Sampler(config_of({{"suppress_tokens", {3, 400}}}), 1).next(logits), 1);
  EXPECT_TRUE(std::isinf(logits[3]));
}

TEST(Sampler, NeverChoosesNaN) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> logits = {nan, 1, nan, 3, nan};
  EXPECT_EQ(Sampler(config_of({{"do_sample", false}}), 0).next(logits), 3);
  Sampler sampler(config_of({{"do_sample", true}, {"top_k", 0}}), 3);
  for (int i = 0; i < 200; ++i) {
    const std::int64_t id = sampler.next(logits);
    EXPECT_TRUE(id == 1 || id == 3) << id;
  }
}

TEST(Sampler, HasAnAnswerForRowsThatLeaveNothing) {
  const float never = -std::numeric_limits<float>::infinity();
  std::vector<float> none = {never, never}, broken = {std::nanf(""), std::nanf("")}, sure = {0, -never, 0};
  for (const bool sample : {false, true}) {
    Sampler sampler(config_of({{"do_sample", sample}}), 0);
    EXPECT_EQ(sampler.next(none), 0);
    EXPECT_EQ(sampler.next(broken), 0);
    EXPECT_EQ(sampler.next(sure), 1);
  }
}

TEST(Sampler, ATemperatureTooSmallForFloatsLeavesTheLargest) {
  for (const double temperature : {1e-300, 1e-44, 1e-38}) {
    std::vector<float> logits = {1, 30, -2, 7};
    EXPECT_EQ(Sampler(config_of({{"do_sample", true}, {"temperature", temperature}}), 0).next(logits), 1);
  }
}

// The 10000th number of a default-seeded std::mt19937_64 is fixed by the standard; so is the first with seed 5489. The
// draw is checked against the rule in the header, number by number.
TEST(Sampler, DrawsAsDocumented) {
  const json keys = {{"do_sample", true}, {"top_k", 0}, {"top_p", 1.0}};
  std::mt19937_64 engine(5489);
  EXPECT_EQ(engine(), 14514284786278117030ULL);
  engine.seed(42);
  Sampler sampler(config_of(keys), 42);
  const std::vector<float> row = {0.5F, -1, 2, 0, 1.5F};
  for (int i = 0; i < 500; ++i) {
    std::vector<float> logits = row;
    const std::vector<Candidate> left = sampler.candidates(logits);
    double sum = 0, reached = 0;
    for (const Candidate& candidate : left) sum += candidate.probability;
    const double mark = double(engine() >> 11U) * 0x1p-53 * sum;
    std::int64_t expected = -1;
    for (const Candidate& candidate : left)
      if (expected < 0 && (reached += candidate.probability) > mark) expected = candidate.id;
    ASSERT_EQ(sampler.next(logits), expected) << "draw " << i;
  }
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitiesSay) {
  Sampler sampler(config_of({{"do_sample", true}, {"top_k", 64}, {"top_p", 0.95}}), 7);
  const std::vector<float> row = {0, 1, 2, 3, -20, 1};
  std::vector<float> logits = row;
  const std::vector<Candidate> left = sampler.candidates(logits);
  std::map<std::int64_t, int> counts;
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.next(logits)];
  EXPECT_EQ(counts.size(), left.size());
  for (const Candidate& candidate : left) {  // five standard deviations
    const double spread = std::sqrt(kDraws * candidate.probability * (1 - candidate.probability));
    EXPECT_NEAR(counts[candidate.id], kDraws * candidate.probability, 5 * spread) << "id " << candidate.id;
  }
}

TEST(Sampler, TheSameSeedGivesTheSameTokensAndAnotherSeedOthers) {
  const GenerationConfig config = config_of({{"do_sample", true}, {"top_k", 0}});
  const auto text = [&](std::uint64_t seed) {
    Sampler sampler(config, seed);
    std::vector<std::int64_t> ids;
    for (int i = 0; i < 40; ++i) {
      std::vector<float> logits(100, 0.0F);
      ids.push_back(sampler.next(logits));
    }
    return ids;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

}  // namespace
}  // namespace assay
