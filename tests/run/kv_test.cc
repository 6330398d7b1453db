// Against numbers worked out by hand from the published configs.
#include "harness/kv/kv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/config.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Plan published(const std::string& name) {
  return make_plan(read_config(ASSAY_SOURCE_DIR "/tests/model/configs/" + name + ".json").value()).value();
}

constexpr std::int64_t kLong = 131072;

TEST(Kv, SharedLayersOfE2bCostNothing) {
  const KvCost cost = kv_cost(published("e2b"), kLong, 1).value();
  ASSERT_EQ(cost.kinds.size(), 2U);
  // 35 layers, 20 share; 15 own ones, every fifth of them full.
  EXPECT_EQ(cost.kinds[0].window, 512);
  EXPECT_EQ(cost.kinds[0].owners, 12);
  EXPECT_EQ(cost.kinds[0].sharers, 16);
  EXPECT_EQ(cost.kinds[0].held_tokens, 511);
  EXPECT_EQ(cost.kinds[0].ring_tokens, 512);
  EXPECT_EQ(cost.kinds[1].owners, 3);
  EXPECT_EQ(cost.kinds[1].sharers, 4);
  EXPECT_EQ(cost.kinds[1].held_tokens, kLong);
  // 12 layers x (K, V) x 1 head x 256 values x 511 tokens, 4 and 2 bytes each; 8 blocks of 34 bytes a row.
  EXPECT_THAT(cost.kinds[0].bytes.held,
              ElementsAre(12 * 2 * 256 * 511 * 4, 12 * 2 * 256 * 511 * 2, 12 * 2 * 8 * 34 * 511));
  EXPECT_EQ(cost.kinds[0].bytes.ring[1], 6291456);    // 12 x 2 x 256 x 512 x 2
  EXPECT_EQ(cost.kinds[1].bytes.held[1], 805306368);  // 3 x 2 x 512 x 131072 x 2: 768 MiB
  EXPECT_EQ(cost.total.ring[1], 811597824);           // both
  EXPECT_EQ(cost.total.flat[1], 5637144576);          // (28 x 256 + 7 x 512) x 2 x 131072 x 2
  EXPECT_EQ(cost.layers[15].bytes.held[0], 0);
  EXPECT_EQ(cost.layers[15].held_tokens, 0);
  EXPECT_EQ(cost.layers[15].source.layer, 13);
  EXPECT_EQ(cost.layers[19].source.layer, 14);
}

TEST(Kv, AShortContextFillsNoWindow) {
  const KvCost cost = kv_cost(published("e2b"), 100, 3).value();
  EXPECT_EQ(cost.kinds[0].held_tokens, 100);
  EXPECT_EQ(cost.kinds[0].ring_tokens, 100);
  EXPECT_EQ(cost.total.held[1], 5529600);  // (12 x 256 + 3 x 512) x 2 tensors x 100 tokens x 2 bytes x 3 rows
  EXPECT_EQ(cost.total.held, cost.total.ring);
}

TEST(Kv, TheWindowIsReachedOneTokenLaterInARing) {
  const Plan plan = published("e2b");
  const auto tokens = [&](std::int64_t context) {
    const KvKind sliding = kv_cost(plan, context, 1)->kinds[0];
    return std::pair(sliding.held_tokens, sliding.ring_tokens);
  };
  EXPECT_EQ(tokens(511), std::pair(std::int64_t{511}, std::int64_t{511}));
  EXPECT_EQ(tokens(512), std::pair(std::int64_t{511}, std::int64_t{512}));
  EXPECT_EQ(tokens(513), std::pair(std::int64_t{511}, std::int64_t{512}));
}

TEST(Kv, LayersWhoseValueIsTheKeyCanKeepOneTensor) {
  const KvCost cost = kv_cost(published("31b"), kLong, 1).value();
  // 50 sliding layers of 16 x 256, 10 full ones of 4 x 512, none shared; window 1024.
  EXPECT_EQ(cost.kinds[0].owners, 50);
  EXPECT_EQ(cost.kinds[1].owners, 10);
  EXPECT_FALSE(cost.kinds[0].value_is_key);
  EXPECT_TRUE(cost.kinds[1].value_is_key);
  EXPECT_EQ(cost.kinds[0].bytes.ring[1], 838860800);  // 50 x 2 x 4096 x 1024 x 2: 800 MiB
  EXPECT_EQ(cost.kinds[0].bytes.least[1], 838860800);
  EXPECT_EQ(cost.kinds[1].bytes.ring[1], 10737418240);  // 10 x 2 x 2048 x 131072 x 2: 10 GiB
  EXPECT_EQ(cost.kinds[1].bytes.least[1], 5368709120);
}

TEST(Kv, EveryPublishedConfigHasItsHeads) {
  // bf16 bytes of one more token once the windows are full: full layers x heads x 512 x (K, V) x 2 bytes.
  for (const auto& [name, layers, heads] : std::vector<std::tuple<std::string, int, int>>{
           {"e2b", 3, 1}, {"e4b", 4, 2}, {"12b", 8, 1}, {"26b-a4b", 5, 2}, {"31b", 10, 4}}) {
    const Plan plan = published(name);
    EXPECT_EQ(kv_cost(plan, 2001, 1)->total.held[1] - kv_cost(plan, 2000, 1)->total.held[1],
              layers * heads * 512 * 2 * 2)
        << name;
  }
}

TEST(Kv, ABatchMultiplies) {
  const Plan plan = published("26b-a4b");
  EXPECT_EQ(kv_cost(plan, 5000, 7)->total.held[2], 7 * kv_cost(plan, 5000, 1)->total.held[2]);
}

TEST(Kv, AHeadThatIsNoMultipleOfABlockIsRoundedUp) {
  Plan plan;
  plan.layers = {LayerPlan{.q_heads = 2, .kv_heads = 2, .head_dim = 40}};
  EXPECT_EQ(kv_cost(plan, 3, 1)->total.held[2], 2 * 2 * 3 * 2 * 34);
}

TEST(Kv, RefusesWhatItCannotCount) {
  const Plan plan = published("31b");
  EXPECT_THAT(kv_cost(plan, 0, 1).error().message(), HasSubstr("--context"));
  EXPECT_THAT(kv_cost(plan, 1, 0).error().message(), HasSubstr("--batch"));
  EXPECT_THAT(kv_cost(plan, std::int64_t{1} << 50, 1 << 30).error().message(), HasSubstr("2^63"));
}

}  // namespace
}  // namespace assay
