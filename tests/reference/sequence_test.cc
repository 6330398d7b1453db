#include "reference/sequence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::reference {

using testing::ElementsAre;
using testing::HasSubstr;

namespace {

const std::vector<std::int64_t> kIds(12, 1);

NamedTensor integers(std::string name, std::vector<std::int64_t> shape, std::vector<std::int64_t> values) {
  return {std::move(name), Tensor::own(std::move(shape), std::move(values))};
}

}  // namespace

TEST(Sequence, CountsPositionsOnFromTheCache) {
  const Sequence first = extend({}, {.ids = {kIds.data(), 1, 3}, .mask = {}, .more = {}}).value();
  EXPECT_THAT(first.positions, ElementsAre(0, 1, 2));
  const Sequence second = extend(first, {.ids = {kIds.data(), 1, 2}, .mask = {}, .more = {}}).value();
  EXPECT_EQ(second.cached, 3);
  EXPECT_THAT(second.positions, ElementsAre(3, 4));
}

TEST(Sequence, TakesOneRowOfPositionsForTheWholeBatch) {
  const std::vector<NamedTensor> more = {integers("position_ids", {1, 2}, {7, 8})};
  const Sequence sequence = extend({}, {.ids = {kIds.data(), 2, 2}, .mask = {}, .more = more}).value();
  EXPECT_THAT(sequence.positions, ElementsAre(7, 8, 7, 8));
}

TEST(Sequence, FindsMaximalRunsOfImagesAndVideos) {
  const std::vector<NamedTensor> more = {integers("mm_token_type_ids", {1, 8}, {1, 1, 0, 2, 1, 3, 3, 1})};
  const Sequence sequence = extend({}, {.ids = {kIds.data(), 1, 8}, .mask = {}, .more = more}).value();
  EXPECT_THAT(sequence.block, ElementsAre(0, 0, -1, 1, 1, -1, -1, 2));
}

TEST(Sequence, TellsPackedPromptsApartWithoutMaskAndCache) {
  const std::vector<NamedTensor> more = {integers("position_ids", {1, 7}, {4, 5, 0, 1, 1, 2, 4})};
  const Forward call{.ids = {kIds.data(), 1, 7}, .mask = {}, .more = more, .cache = Cache::none};
  EXPECT_THAT(extend({}, call).value().pack, ElementsAre(0, 0, 1, 1, 2, 2, 3));
  Forward cached = call;
  cached.cache = Cache::fresh;
  EXPECT_THAT(extend({}, cached).value().pack, testing::Each(0));
  const std::vector<std::int64_t> ones(7, 1);
  Forward masked = call;
  masked.mask = {ones.data(), 1, 7};
  EXPECT_THAT(extend({}, masked).value().pack, testing::Each(0));
}

TEST(Sequence, PutsCachedTokensIntoNoBlock) {
  const std::vector<NamedTensor> more = {integers("mm_token_type_ids", {1, 2}, {1, 1})};
  const Sequence first = extend({}, {.ids = {kIds.data(), 1, 2}, .mask = {}, .more = more}).value();
  const Sequence second = extend(first, {.ids = {kIds.data(), 1, 2}, .mask = {}, .more = more}).value();
  EXPECT_THAT(second.block, ElementsAre(-1, -1, 0, 0));
}

TEST(Sequence, KeepsPaddingOfEarlierCalls) {
  const std::vector<std::int64_t> mask = {0, 1};
  const Sequence first = extend({}, {.ids = {kIds.data(), 1, 2}, .mask = {mask.data(), 1, 2}, .more = {}}).value();
  const Sequence second = extend(first, {.ids = {kIds.data(), 1, 1}, .mask = {}, .more = {}}).value();
  EXPECT_THAT(second.real, ElementsAre(0, 1, 1));
}

TEST(Sequence, RefusesWrongShapes) {
  const std::vector<std::int64_t> mask = {1, 1, 1};
  const auto short_mask = extend({}, {.ids = {kIds.data(), 1, 4}, .mask = {mask.data(), 1, 3}, .more = {}});
  ASSERT_FALSE(short_mask);
  EXPECT_THAT(short_mask.error().message(), HasSubstr("attention_mask: expected [1, 4], found [1, 3]"));

  const std::vector<NamedTensor> more = {integers("position_ids", {1, 3}, {0, 1, 2})};
  const auto positions = extend({}, {.ids = {kIds.data(), 1, 4}, .mask = {}, .more = more});
  ASSERT_FALSE(positions);
  EXPECT_THAT(positions.error().message(), HasSubstr("position_ids"));

  const Sequence two = extend({}, {.ids = {kIds.data(), 2, 2}, .mask = {}, .more = {}}).value();
  const auto other_batch = extend(two, {.ids = {kIds.data(), 1, 2}, .mask = {}, .more = {}});
  ASSERT_FALSE(other_batch);
  EXPECT_THAT(other_batch.error().message(), HasSubstr("input_ids"));
}

}  // namespace assay::reference
