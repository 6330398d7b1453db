// The drafter's own ops, on numbers small enough to work out by hand; transformers' answers are in the drafter goldens.
#include "reference/assistant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reference/parts.h"

namespace assay::reference {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<char> seen_by(int window, int keys, int tokens, int query, std::vector<char> real = {}) {
  Sequence sequence;
  sequence.batch = 1;
  sequence.tokens = tokens;
  sequence.cached = keys - tokens;
  sequence.real = real.empty() ? std::vector<char>(std::size_t(keys), 1) : std::move(real);
  std::vector<char> seen(std::size_t(keys), 0);
  visible_to_drafter({.window = window, .rope = {}, .experts = std::nullopt}, sequence, 0, query, seen);
  return seen;
}

TEST(VisibleToDrafter, SlidingLayersSeeTheWindowAndOneMore) {
  EXPECT_THAT(seen_by(2, 5, 1, 4), ElementsAre(0, 0, 1, 1, 1));
  EXPECT_THAT(seen_by(2, 3, 1, 2), ElementsAre(1, 1, 1));
  EXPECT_THAT(seen_by(2, 1, 1, 0), ElementsAre(1));
  EXPECT_THAT(seen_by(0, 5, 1, 4), ElementsAre(1, 1, 1, 1, 1)) << "a full layer";
}

TEST(VisibleToDrafter, PaddingIsNeverSeen) {
  EXPECT_THAT(seen_by(2, 5, 1, 4, {0, 0, 0, 1, 1}), ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(seen_by(0, 4, 1, 3, {0, 1, 0, 1}), ElementsAre(0, 1, 0, 1));
}

TEST(VisibleToDrafter, LaterQueriesCountFromTheLastKeyBackwards) {
  // As the flipped mask of transformers has it: query t, key k keys before the last, |t - k| <= window.
  EXPECT_THAT(seen_by(1, 5, 3, 3), ElementsAre(0, 0, 1, 1, 1));
  EXPECT_THAT(seen_by(1, 5, 3, 4), ElementsAre(0, 1, 1, 1, 0));
}

/// A drafter of hidden 2, a vocabulary of 6 in 3 clusters, of which 2 are used.
Parts ordered() {
  Parts parts;
  parts.plan.hidden = 2;
  parts.plan.vocab = 6;
  parts.plan.assistant = AssistantPlan{.backbone = 3, .centroids = Centroids{3, 2}};
  parts.plan.layers = {LayerPlan{.q_heads = 1,
                                 .kv_heads = 1,
                                 .head_dim = 2,
                                 .kv = {KvSource::target, -1},
                                 .window = 2,
                                 .rope = {},
                                 .experts = std::nullopt}};
  parts.assistant = Assistant{.weights = {}, .ops = assistant_ops()};
  parts.assistant->weights.centroids = Weight::own(3, 2, {1, 0, 0, 1, -1, -1});
  parts.assistant->weights.token_ordering = {5, 0, 3, 1, 2, 4};
  parts.weights.lm_head = Weight::own(6, 2, {1, 1, 2, 0, 9, 9, 0, 3, 9, 9, -1, 2});
  return parts;
}

TEST(NearestClusters, TakesTheLargestScoresAndTheLowerIndexOfEqualOnes) {
  const Parts parts = ordered();
  const std::vector<float> rows = {3, 1, 2, 2, -5, -1};  // scores 3 1 -4; 2 2 -4; -5 -1 6
  EXPECT_THAT(nearest_clusters(parts, {rows.data(), 3, 2}), ElementsAre(0, 1, 0, 1, 2, 1));
}

TEST(OrderedLogits, GivesTheChosenTheirProductsAndTheRestOneLessThanTheSmallestOfTheBatch) {
  const Parts parts = ordered();
  const std::vector<float> rows = {1, 0, 0, 1};
  const std::vector<int> clusters = {0, 1, 1, 0};  // tokens 5 0 and 3 1, whichever comes first
  const Grid logits = ordered_logits(parts, {rows.data(), 2, 2}, clusters);
  // Row 0: 5 -> -1, 0 -> 1, 3 -> 0, 1 -> 2. Row 1: 5 -> 2, 0 -> 1, 3 -> 3, 1 -> 0. The smallest is row 0's.
  EXPECT_THAT(logits.row(0), ElementsAre(1, 2, -2, 0, -2, -1));
  EXPECT_THAT(logits.row(1), ElementsAre(1, 0, -2, 3, -2, 2));
}

/// Four keys a kind, of one head of two values: key k is [k, -k] in full layers, [10 + k, k] in sliding ones.
struct Raw {
  std::vector<NamedTensor> more;
  std::vector<std::int64_t> ids = {0}, mask;

  Raw(int full, int sliding) {
    add("full_attention", full, 0, -1);
    add("sliding_attention", sliding, 10, 1);
  }
  void add(const std::string& kind, int keys, int offset, int sign) {
    std::vector<float> values;
    for (int k = 0; k < keys; ++k) values.insert(values.end(), {float(offset + k), float(sign * k)});
    for (const char* side : {"key", "value"})
      more.push_back({"shared_kv_states/" + kind + "/" + side, Tensor::own({1, 1, keys, 2}, values)});
  }
  Forward call() const {
    Forward call{.ids = {ids.data(), 1, 1}, .mask = {}, .more = more};
    if (!mask.empty()) call.mask = {mask.data(), 1, int(mask.size())};
    return call;
  }
};

TEST(SharedKv, TakesTransformersOwnStates) {
  const Parts parts = ordered();
  Raw raw(4, 2);
  raw.mask = {0, 1, 0, 1, 1};  // the last is the newest token's, which has no key
  const auto sliding = shared_kv(parts, raw.call(), true);
  ASSERT_TRUE(sliding) << sliding.error().message();
  EXPECT_EQ(sliding->kv.length(), 2);
  EXPECT_THAT(sliding->kv.keys(0).row(1), ElementsAre(11, 1));
  EXPECT_THAT(sliding->sequence.real, ElementsAre(0, 1)) << "the last two of the full layers' four";
  EXPECT_THAT(sliding->sequence.positions, ElementsAre(0));
}

TEST(SharedKv, RefusesWhatDoesNotFit) {
  const Parts parts = ordered();
  const auto message = [&](const Raw& raw) {
    const auto shared = shared_kv(parts, raw.call(), true);
    return shared ? std::string("no failure") : shared.error().message();
  };
  EXPECT_EQ(message(Raw(4, 4)), "no failure");
  Raw raw(4, 4);
  raw.mask = {1, 1, 1};
  EXPECT_THAT(message(raw), HasSubstr("attention_mask: expected [B, at least 4], the target's keys, found [1, 3]"));
  raw = Raw(2, 4);
  raw.mask = {1, 1, 1, 1, 1};
  EXPECT_THAT(message(raw), HasSubstr("attention_mask: expected [B, at least 4]"));
  raw = Raw(4, 4);
  raw.more.pop_back();
  EXPECT_THAT(message(raw), HasSubstr("sliding_attention/value: expected a tensor of shape [1, 1, 4, 2], found none"));
  raw = Raw(4, 4);
  raw.more.back().tensor = Tensor::own({1, 2, 4, 1}, std::vector<float>(8, 0));
  EXPECT_THAT(message(raw), HasSubstr("sliding_attention/value: expected shape [1, 1, 4, 2], found [1, 2, 4, 1]"));
  raw.more.clear();
  EXPECT_THAT(message(raw), HasSubstr("as there is no target, found none"));
}

TEST(AssistantInputs, NeedTheEmbeddingsOrATarget) {
  const Parts parts = ordered();
  Raw raw(4, 4);
  EXPECT_THAT(assistant_inputs(parts, raw.call()).error().message(),
              HasSubstr("inputs_embeds: expected it, or a target"));
  raw.more.push_back({"inputs_embeds", Tensor::own({1, 1, 5}, std::vector<float>(5, 1))});
  EXPECT_THAT(assistant_inputs(parts, raw.call()).error().message(), HasSubstr("expected shape [1, 1, 6]"));
  raw.more.back().tensor = Tensor::own({1, 1, 6}, std::vector<float>{1, 2, 3, 4, 5, 6});
  EXPECT_THAT(assistant_inputs(parts, raw.call())->row(0), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(AssistantPositions, AreOfEachRowOrOfAll) {
  const Parts parts = ordered();
  const std::vector<std::int64_t> ids = {0, 0, 0, 0};
  std::vector<NamedTensor> more;
  const auto positions = [&] {
    return assistant_positions(parts, {.ids = {ids.data(), 2, 2}, .mask = {}, .more = more});
  };
  EXPECT_THAT(*positions(), ElementsAre(0, 1, 0, 1));
  more.push_back({"position_ids", Tensor::own({1, 2}, std::vector<std::int64_t>{7, 9})});
  EXPECT_THAT(*positions(), ElementsAre(7, 9, 7, 9));
  more.back().tensor = Tensor::own({2, 2}, std::vector<std::int64_t>{7, 9, 1, 2});
  EXPECT_THAT(*positions(), ElementsAre(7, 9, 1, 2));
  more.back().tensor = Tensor::own({2, 1}, std::vector<std::int64_t>{7, 9});
  EXPECT_THAT(positions().error().message(), HasSubstr("position_ids: expected [2, 2], found [2, 1]"));
}

}  // namespace
}  // namespace assay::reference
