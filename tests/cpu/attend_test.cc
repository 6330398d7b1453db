// Attention of a few tokens over a cache, in chunks that threads share: as softmax over all keys at once has it, and
// the same bits for any number of threads.
#include "engine/cpu/attend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace assay::cpu {
namespace {

constexpr int kHeads = 4, kKvHeads = 2, kDim = 64, kWidth = kKvHeads * kDim;

/// A call of `tokens` tokens a batch row, the last of them key number lengths[b] - 1, with a window or without.
class Call {
 public:
  Call(std::vector<int> lengths, int tokens, int window)
      : lengths_(std::move(lengths)), tokens_(tokens), cache_(kWidth, window, kernels::Format::fp32, nullptr) {
    std::mt19937 random(17);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::size_t count) {
      std::vector<float> values(count);
      std::ranges::generate(values, [&] { return normal(random); });
      return values;
    };
    cache_.reset(batch());
    for (int b = 0; b < batch(); ++b) {
      keys_.emplace_back();
      values_.emplace_back();
      for (int key = 0; key < lengths_[std::size_t(b)]; ++key) {
        cache_.reserve(key + 1, tokens);
        keys_.back().push_back(draw(kWidth));
        values_.back().push_back(draw(kWidth));
        cache_.store(b, key, keys_.back().back().data(), values_.back().back().data());
        cache_.added(b, key + 1);
      }
      for (int t = 0; t < tokens; ++t) {
        const int end = lengths_[std::size_t(b)] - tokens + t + 1;
        to_.push_back(end);
        from_.push_back(window > 0 ? std::max(0, end - window) : 0);
      }
    }
    q_ = draw(to_.size() * kHeads * kDim);
  }

  std::vector<float> attended(int threads) const {
    const auto kernels = KernelTable::make(kernels::Format::fp32, kernels::Acts::fp32);
    EXPECT_TRUE(kernels.has_value());
    std::vector<float> y(q_.size(), NAN);
    std::vector<float> partial(partial_floats(batch(), kHeads, kDim, *std::ranges::max_element(lengths_)) + 1, NAN);
    partial.back() = 0.5F;  // behind the end
    const std::vector<const std::uint8_t*> masks(lengths_.size(), nullptr);
    with_team(threads, std::int64_t{threads} * kWorthThreads, nullptr, [&](const Team& team) {
      attend(team, *kernels, cache_,
             {.q = q_.data(),
              .from = from_.data(),
              .to = to_.data(),
              .masks = masks,
              .y = y.data(),
              .tokens = tokens_,
              .stride = tokens_,
              .heads = kHeads,
              .kv_heads = kKvHeads,
              .head_dim = kDim},
             partial.data());
    });
    EXPECT_EQ(partial.back(), 0.5F);
    return y;
  }

  std::vector<float> expected() const {
    std::vector<float> y;
    for (std::size_t row = 0; row < to_.size() * kHeads; ++row) {
      const std::size_t token = row / kHeads, b = token / std::size_t(tokens_), head = row % kHeads;
      const std::size_t lane = head / (kHeads / kKvHeads) * kDim;
      std::vector<double> weights, sums(kDim, 0);
      double largest = -INFINITY, total = 0;
      for (int key = from_[token]; key < to_[token]; ++key) {
        double score = 0;
        for (std::size_t i = 0; i < kDim; ++i)
          score += double{q_[row * kDim + i]} * double{keys_[b][std::size_t(key)][lane + i]};
        weights.push_back(score);
        largest = std::max(largest, score);
      }
      for (double& weight : weights) total += weight = std::exp(weight - largest);
      for (std::size_t k = 0; k < weights.size(); ++k)
        for (std::size_t i = 0; i < kDim; ++i)
          sums[i] += weights[k] / total * double{values_[b][std::size_t(from_[token]) + k][lane + i]};
      for (const double sum : sums) y.push_back(float(sum));
    }
    return y;
  }

 private:
  int batch() const { return int(lengths_.size()); }

  std::vector<int> lengths_;
  int tokens_;
  KvCache cache_;
  std::vector<std::vector<std::vector<float>>> keys_, values_;  ///< [batch][key][kWidth]
  std::vector<std::int32_t> from_, to_;
  std::vector<float> q_;
};

void expect_right(const Call& call, const std::string& what) {
  const std::vector<float> expected = call.expected(), one = call.attended(1);
  ASSERT_EQ(one.size(), expected.size());
  for (std::size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], expected[i], 2e-5) << what << ", value " << i;
  for (const int threads : {2, 3, 7}) EXPECT_EQ(call.attended(threads), one) << what << ", " << threads << " threads";
}

TEST(Attend, ChunksOfAnyNumberOfKeysAreOneSoftmax) {
  for (const int tokens : {1, 3, kFewQueries})
    for (const int keys : {4, kernels::kKeysAlone, kernels::kKeysAlone + 1, 255, 513, 1030})
      expect_right(Call({keys}, tokens, 0), std::to_string(tokens) + " of " + std::to_string(keys));
}

TEST(Attend, ManyKeysMakeLongerChunksNotMore) {
  expect_right(Call({kernels::kMostChunks * kernels::kKeysOfChunk + 300}, kFewQueries, 0), "more than the most chunks");
}

TEST(Attend, ARingThatHasTurnedRoundIsReadInOrder) {
  for (const int window : {100, 300}) expect_right(Call({701}, 2, window), "window " + std::to_string(window));
}

TEST(Attend, RowsOfABatchHaveChunksOfTheirOwn) { expect_right(Call({40, 600, 230}, 2, 0), "a batch"); }

}  // namespace
}  // namespace assay::cpu
