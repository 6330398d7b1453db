// The ring of a sliding layer: what it holds when it has turned round, what can be taken back, how it grows.
#include "engine/cpu/kv_cache.h"

#include <gtest/gtest.h>

#include <new>
#include <vector>

#include "kernels/registry.h"
#include "kernels/spec/narrow.h"
#include "mapping_bytes.h"

namespace assay::cpu {
namespace {

constexpr int kWidth = 32, kWindow = 8;

KvCache cache_of(int window, kernels::Format format = kernels::Format::fp32) {
  return {kWidth, window, format, kernels::best<kernels::spec::narrow>(kernels::Format::fp32, kernels::Acts::bf16)};
}

/// Key number n of row b; its value is the negative.
std::vector<float> key(int b, int n) { return std::vector<float>(kWidth, float(1000 * b + n)); }

void add(KvCache& cache, int b, int first, int end) {
  for (int n = first; n < end; ++n) {
    std::vector<float> v = key(b, n);
    for (float& x : v) x = -x;
    cache.store(b, n, key(b, n).data(), v.data());
  }
  cache.added(b, end);
}

void expect_held(const KvCache& cache, int b, int first, int end) {
  std::vector<float> out(kWidth);
  for (int n = first; n < end; ++n) {
    cache.read(0, b, n, out);
    EXPECT_EQ(out, key(b, n)) << "key " << n << " of row " << b;
    cache.read(1, b, n, out);
    EXPECT_EQ(out.front(), -key(b, n).front()) << "value " << n;
  }
}

TEST(KvCache, ARingHoldsTheWindowAndASpareWhenItHasTurnedRound) {
  KvCache cache = cache_of(kWindow);
  cache.reset(2);
  for (int end = 1; end <= 300; ++end) {
    cache.reserve(end, 1);
    for (const int b : {0, 1}) add(cache, b, end - 1, end);
  }
  EXPECT_EQ(cache.capacity(), kWindow + 1 + KvCache::kSpare);
  for (const int b : {0, 1}) {
    EXPECT_EQ(cache.held_from(b), 300 - cache.capacity());
    expect_held(cache, b, cache.held_from(b), 300);
  }
}

TEST(KvCache, GrowsWithoutForgettingAlsoWhereItHasTurnedRound) {
  KvCache cache = cache_of(kWindow);
  cache.reset(1);
  cache.reserve(200, 1);
  add(cache, 0, 0, 200);
  const int from = cache.held_from(0);
  cache.reserve(400, 150);  // an image block of 150 tokens is to come
  EXPECT_EQ(cache.capacity(), kWindow + 1 + 150);
  expect_held(cache, 0, from, 200);
  add(cache, 0, 200, 350);
  expect_held(cache, 0, 350 - cache.capacity(), 350);
}

TEST(KvCache, IsAsBeforeWhereThereIsNoMoreMemory) {
  constexpr int kWide = 1 << 16, kMore = 1 << 30;  // 2^48 bytes
  for (const int window : {0, kWindow}) {
    KvCache cache(kWide, window, kernels::Format::fp32, nullptr);
    cache.reset(1);
    cache.reserve(3, 1);
    const int capacity = cache.capacity();
    const std::vector<float> row(kWide, 7);
    for (int key = 0; key < capacity + 2; ++key) {  // a ring that has turned round
      cache.store(0, key, row.data(), row.data());
      if (window == 0 && key == 3) break;
    }
    cache.added(0, window == 0 ? 3 : capacity + 2);
    EXPECT_THROW(cache.reserve(kMore, kMore), std::bad_alloc);
    EXPECT_EQ(cache.capacity(), capacity);
    std::vector<float> out(kWide);
    cache.read(1, 0, 2, out);
    EXPECT_EQ(out, row);
  }
}

TEST(KvCache, AFullLayerKeepsEverything) {
  KvCache cache = cache_of(0);
  cache.reset(1);
  for (int end = 50; end <= 2000; end += 50) {
    cache.reserve(end, 50);
    add(cache, 0, end - 50, end);
  }
  EXPECT_EQ(cache.held_from(0), 0);
  expect_held(cache, 0, 0, 2000);
  EXPECT_TRUE(cache.can_truncate(0, 1));
}

TEST(KvCache, CanGoBackAsFarAsAWindowAndADraftersOneMoreKeyAreThere) {
  KvCache cache = cache_of(kWindow);
  cache.reset(1);
  cache.reserve(300, 1);
  add(cache, 0, 0, 300);
  EXPECT_TRUE(cache.can_truncate(0, 300 - KvCache::kSpare));
  EXPECT_FALSE(cache.can_truncate(0, 300 - KvCache::kSpare - 1));
  cache.truncate(0, 250);
  add(cache, 0, 250, 260);
  expect_held(cache, 0, 250 - kWindow - 1, 260);
  EXPECT_FALSE(cache.can_truncate(0, 300 - KvCache::kSpare - 1)) << "what the ring has lost does not come back";
}

TEST(KvCache, RingsLieInHugePagesOnceTheyAreFull) {
  constexpr int kWide = 1024, kLong = 1000;  // a side of 4 MiB
  KvCache cache(kWide, kLong, kernels::Format::fp32, nullptr);
  cache.reset(1);
  cache.reserve(4 * kLong, 1);
  const std::vector<float> row(kWide, 1);
  const auto add_one = [&](int n) {
    cache.store(0, n, row.data(), row.data());
    cache.added(0, n + 1);
  };
  for (int n = 0; n < cache.capacity() - 1; ++n) add_one(n);
  if (huge_bytes(cache.keys(0)) > 0) GTEST_SKIP() << "this system gives huge pages unasked";
  add_one(cache.capacity() - 1);
  if (huge_bytes(cache.keys(0)) == 0) GTEST_SKIP() << "this system collapses no pages";
  EXPECT_GE(huge_bytes(cache.keys(0)), std::size_t{4} << 20);
  EXPECT_GE(huge_bytes(cache.values(0)), std::size_t{4} << 20);
}

TEST(KvCache, KeepsWhatItsFormatLeaves) {
  for (const auto format : {kernels::Format::bf16, kernels::Format::q8_0}) {
    KvCache cache = cache_of(kWindow, format);
    cache.reset(1);
    cache.reserve(1, 1);
    std::vector<float> row(kWidth), expected(kWidth), out(kWidth);
    for (int i = 0; i < kWidth; ++i) row[std::size_t(i)] = 1.0F / float(i + 1);
    std::vector<std::byte> bytes(kernels::row_bytes(format, kWidth));
    if (format == kernels::Format::q8_0) {
      kernels::quantize(format, row, bytes.data());
      kernels::dequantize(format, bytes.data(), 1, expected);
    } else {
      expected = kernels::OwnActivations(kernels::Acts::bf16, row, 1, kWidth).row(0);
    }
    cache.store(0, 0, row.data(), row.data());
    cache.read(0, 0, 0, out);
    EXPECT_EQ(out, expected) << kernels::name(format);
    EXPECT_NE(out, row) << kernels::name(format);
  }
}

}  // namespace
}  // namespace assay::cpu
