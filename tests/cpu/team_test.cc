// How a team shares work out: everything once, whoever does it.
#include "engine/cpu/team.h"

#include <atomic>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

namespace assay::cpu {
namespace {

using Pieces = std::vector<std::pair<int, int>>;

/// Pieces as threads took them, in order.
Pieces pieces(int threads, int n, int most, int least) {
  Pieces taken;
  std::mutex mutex;
  with_team(threads, std::int64_t{threads} * kWorthThreads, nullptr, [&](const Team& team) {
    for (int op = 0; op < 3; ++op) {  // counters are taken in turns
      if (op == 2) team.one([&] { taken.clear(); });
      team.take_pieces(n, most, least, [&](int first, int last) {
        const std::lock_guard lock(mutex);
        taken.emplace_back(first, last);
      });
      team.sync();
    }
  });
  std::ranges::sort(taken);
  return taken;
}

TEST(Team, PiecesAreEverythingOnceAndBecomeSmaller) {
  for (const int threads : {1, 2, 3, 7})
    for (const int n : {1, 31, 32, 33, 128, 500, 6144, 6150}) {
      int before = 0, size = 128;
      for (const auto& [first, last] : pieces(threads, n, 128, 32)) {
        EXPECT_EQ(first, before) << threads << " threads, " << n;
        EXPECT_EQ(first % 32, 0);
        EXPECT_LE(last - first, size);
        EXPECT_TRUE(last - first >= 32 || last == n);
        before = last;
        size = last - first;
      }
      EXPECT_EQ(before, n);
    }
  EXPECT_EQ(pieces(2, 1024, 128, 32).back(), std::pair(992, 1024)) << "the last is as small as may be";
  EXPECT_EQ(pieces(1, 256, 128, 32), (Pieces{{0, 128}, {128, 256}})) << "nobody to end together with";
}

TEST(Team, WhatOneThreadThrowsIsTheCallers) {
  for (const int threads : {1, 2, 3, 7})
    for (const bool first : {true, false})
      for (const int where : {0, 3, 4}) {
        std::atomic<int> ended = 0;
        const auto body = [&](const Team& team) {
          for (int op = 0; op < 5; ++op) {
            if (op == where && team.thread == (first ? 0 : team.threads - 1)) throw std::bad_alloc();
            team.sync();
          }
          ++ended;
        };
        EXPECT_THROW(with_team(threads, std::int64_t{threads} * kWorthThreads, nullptr, body), std::bad_alloc);
        EXPECT_EQ(ended, 0) << threads << " threads, " << where;
      }
  int sum = 0;  // other calls know nothing of it
  with_team(3, 3 * kWorthThreads, nullptr, [&](const Team& team) { team.one([&] { ++sum; }); });
  EXPECT_EQ(sum, 1);
}

TEST(Team, WhatAllThreadsThrowComesOnce) {
  EXPECT_THROW(with_team(3, 3 * kWorthThreads, nullptr, [](const Team&) { throw std::bad_alloc(); }), std::bad_alloc);
}

TEST(Team, NothingIsNoPiece) { EXPECT_TRUE(pieces(2, 0, 128, 32).empty()); }

}  // namespace
}  // namespace assay::cpu
