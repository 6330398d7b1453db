// Numbers of keys when rows of a batch have forgotten different numbers of tokens, and ranges of who sees whom.
#include "engine/cpu/sequence.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/cpu/visibility.h"

namespace assay::cpu {
namespace {

/// `tokens` more tokens of each row.
void extend(Sequence& sequence, int batch, int tokens, std::vector<std::int64_t> mask = {},
            std::vector<std::int64_t> types = {}) {
  const std::vector<std::int64_t> ids(std::size_t(batch * tokens), 5);
  std::vector<NamedTensor> more;
  if (!types.empty()) more.push_back({"mm_token_type_ids", Tensor::own({batch, tokens}, std::move(types))});
  Forward call{.ids = {ids.data(), batch, tokens}};
  if (!mask.empty()) call.mask = {mask.data(), batch, int(mask.size()) / batch};
  call.more = more;
  const auto done = sequence.extend(call);
  ASSERT_TRUE(done) << done.error().message();
}

void expect_range(KeyRange range, int from, int to) {
  EXPECT_EQ(range.from, from);
  EXPECT_EQ(range.to, to);
}

TEST(CpuSequence, RowsThatForgetMoreArePaddedOnTheLeft) {
  Sequence sequence;
  extend(sequence, 2, 10);
  const std::vector<int> keep{9, 6};
  sequence.truncate(keep);
  EXPECT_EQ(sequence.keys(), 9);
  EXPECT_EQ(sequence.row(0).shift, 0);
  EXPECT_EQ(sequence.row(1).shift, 3);
  extend(sequence, 2, 1, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_EQ(sequence.key_of(0, 0), 9);
  EXPECT_EQ(sequence.key_of(1, 0), 6) << "its own seventh key";
  EXPECT_FALSE(sequence.row(1).holes) << "the mask's zeros are the shift";
  EXPECT_EQ(sequence.position(1, 0), 9) << "transformers counts the padding";
}

TEST(CpuSequence, PaddingOnTheLeftIsARangeAndHolesAreNot) {
  Sequence sequence;
  extend(sequence, 2, 5, {0, 0, 1, 1, 1, 1, 0, 1, 1, 1});
  EXPECT_EQ(sequence.row(0).first_real, 2);
  EXPECT_FALSE(sequence.row(0).holes);
  EXPECT_EQ(sequence.row(1).first_real, 0);
  EXPECT_TRUE(sequence.row(1).holes);
  expect_range(visible(sequence, 0, Blocks::causal, 0, 4), 2, 5);
  expect_range(visible(sequence, 2, Blocks::causal, 0, 4), 3, 5);
}

TEST(CpuSequence, BlocksReachToTheRightInsideTheWindowOrBeyondIt) {
  Sequence sequence;
  extend(sequence, 1, 3);
  extend(sequence, 1, 7, {}, {0, 1, 1, 2, 2, 0, 1});
  ASSERT_TRUE(sequence.has_blocks());
  // Token 1 is key 4; its block is keys 4 to 7.
  expect_range(visible(sequence, 2, Blocks::causal, 0, 1), 3, 5);
  expect_range(visible(sequence, 2, Blocks::inside_window, 0, 1), 3, 8);
  expect_range(visible(sequence, 2, Blocks::inside_window, 0, 4), 6, 8);
  expect_range(visible(sequence, 2, Blocks::beyond_window, 0, 4), 4, 8);
  expect_range(visible(sequence, 2, Blocks::beyond_window, 0, 6), 8, 10);
  EXPECT_TRUE(sequence.may_cut(1));
  EXPECT_FALSE(sequence.may_cut(2));
  EXPECT_TRUE(sequence.may_cut(6));
}

TEST(CpuSequence, NothingChangesWhereACallIsRefused) {
  Sequence sequence;
  extend(sequence, 2, 4);
  const std::vector<std::int64_t> ids(3, 5);
  const auto refused = sequence.extend({.ids = {ids.data(), 3, 1}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Failure::bad_input);
  EXPECT_EQ(sequence.keys(), 4);
  EXPECT_EQ(sequence.batch(), 2);
}

}  // namespace
}  // namespace assay::cpu
