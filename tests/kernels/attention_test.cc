// What the trial of attention in mode bf16 takes for right: its roundings, nearest even, and no others. Kernels' own
// answers are table_test.cc's.
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/widen.h"
#include "kernels/op.h"
#include "kernels/spec/attention.h"

namespace assay::kernels {
namespace {

constexpr std::uint64_t kSeed = 20;

float nearest(float x) { return widen_bf16(narrow_bf16(x)); }
float cut_off(float x) { return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000U); }
float kept(float x) { return x; }
/// To 4 of bfloat16's 8 significant bits: what V in 8 bits would lose.
float coarse(float x) { return std::bit_cast<float>((std::bit_cast<std::uint32_t>(x) + 0x80000U) & 0xfff00000U); }

/// The contract in double, for one chunk or several, all keys in view, and no ring.
template <float (*kQuery)(float), float (*kWeight)(float), float (*kValue)(float)>
void attention(const Attention& a, int first, int last) {
  const int group = a.heads / a.kv_heads, d = a.head_dim, chunks = attention_chunks(a);
  for (int index = first; index < last; ++index) {
    const AttentionUnit u = attention_unit(a, index);
    for (int t = u.token; t < u.token + u.tokens; ++t)
      for (int h = u.kv_head * group; h < (u.kv_head + 1) * group; ++h) {
        const int row = t * a.heads + h;
        const float* q = a.q + std::ptrdiff_t(row) * d;
        const auto at = [&](const std::byte* kv, int p, int c) {
          return widen_bf16(reinterpret_cast<const std::uint16_t*>(kv)[(p * a.kv_heads + u.kv_head) * d + c]);
        };
        std::vector<double> scores, sums(std::size_t(d), 0);
        double largest = -INFINITY, sum = 0;
        for (int p = u.begin; p < u.end; ++p) {
          double score = 0;
          for (int c = 0; c < d; ++c) score += double{kQuery(q[c])} * at(a.k, p, c);
          scores.push_back(score * a.scale);
          largest = std::max(largest, scores.back());
        }
        for (int p = u.begin; p < u.end; ++p) {
          const auto weight = float(std::exp(scores[std::size_t(p - u.begin)] - largest));
          sum += weight;
          for (int c = 0; c < d; ++c) sums[std::size_t(c)] += double{kWeight(weight)} * kValue(at(a.v, p, c));
        }
        float* y = chunks == 1 ? a.y + std::ptrdiff_t(row) * d
                               : a.partial + (std::ptrdiff_t(row) * chunks + u.chunk) * (d + 2);
        for (int c = 0; c < d; ++c) y[c] = float(sums[std::size_t(c)] / sum);
        if (chunks > 1) y[d] = float(largest), y[d + 1] = float(sum);
      }
  }
}

bool passes(const Shape& shape, spec::attention::Fn* fn) {
  const Kernel kernel{.name = "of_test",
                      .op = Op::attention,
                      .format = Format::bf16,
                      .acts = Acts::bf16,
                      .backend = Backend::cpu,
                      .isa = Isa::portable,
                      .fn = reinterpret_cast<AnyFn*>(fn)};
  const auto trial = info(Op::attention).trial(Format::bf16, Acts::bf16, shape, kSeed);
  trial->run(kernel, 0, trial->rows());
  return trial->check().passed();
}

// tokens, heads, kv_heads, head_dim, keys, window, chunk, ring, holes: everything is seen
constexpr Shape kManyKeys{2, 4, 2, 64, 4096, 0, 0, 0, 4}, kFewKeys{5, 4, 2, 64, 9, 0, 0, 0, 4},
    kChunks{2, 4, 2, 64, 96, 0, 32, 0, 4};

TEST(AttentionInBf16, RoundedToNearestIsRight) {
  for (const Shape& shape : {kManyKeys, kFewKeys, kChunks})
    EXPECT_TRUE(passes(shape, attention<nearest, nearest, kept>)) << to_string(info(Op::attention), shape);
}

TEST(AttentionInBf16, WeightsMayKeepMoreBits) { EXPECT_TRUE(passes(kManyKeys, attention<nearest, kept, kept>)); }

TEST(AttentionInBf16, WeightsCutOffAreWrong) { EXPECT_FALSE(passes(kManyKeys, attention<nearest, cut_off, kept>)); }

TEST(AttentionInBf16, QueriesCutOffOrNotRoundedAreWrong) {
  EXPECT_FALSE(passes(kChunks, attention<cut_off, nearest, kept>));
  EXPECT_FALSE(passes(kChunks, attention<kept, nearest, kept>));
}

TEST(AttentionInBf16, ValuesOfFewerBitsAreWrong) {
  for (const Shape& shape : {kManyKeys, kFewKeys, kChunks})
    EXPECT_FALSE(passes(shape, attention<nearest, nearest, coarse>)) << to_string(info(Op::attention), shape);
}

TEST(AttentionChunks, AreOneOfFewKeysElseAnEvenNumberAndNoLongerThanTheyMayBe) {
  for (int keys = 0, before = 1; keys < 40000; ++keys) {
    const int chunks = attention_chunks_of(keys), chunk = attention_chunk_of(keys);
    EXPECT_TRUE(chunks == 1 ? keys <= kKeysAlone : chunks % 2 == 0) << keys;
    EXPECT_GE(chunks, before) << keys;
    EXPECT_LE(chunks, kMostChunks) << keys;
    EXPECT_LE(chunk, std::max(kKeysOfChunk, (keys + kMostChunks - 1) / kMostChunks)) << keys;
    EXPECT_GE(chunk, 1) << keys;
    EXPECT_GE(chunk * chunks, keys);
    before = chunks;
  }
}

}  // namespace
}  // namespace assay::kernels
