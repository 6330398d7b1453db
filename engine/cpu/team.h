// The threads of one call. A whole forward is one OpenMP region that every thread walks through; ops split their rows
// and meet at a barrier, so that threads start once a call and not once an op. Not here: what ops do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include <omp.h>

namespace assay::cpu {

class Team {
 public:
  int thread = 0, threads = 1;

  /// Waits until all threads are here, and then sees what they wrote.
  void sync() const {
    if (threads > 1) {
#pragma omp barrier
    }
  }

  struct Part {
    int first, last;
  };
  /// This thread's share of n rows: contiguous, whole grains.
  Part split(int n, int grain = 1) const {
    const std::int64_t grains = (n + grain - 1) / grain;
    const auto at = [&](int t) { return int(std::min<std::int64_t>(n, grains * t / threads * grain)); };
    return {at(thread), at(thread + 1)};
  }

  /// One thread does it, all wait.
  template <class Work>
  void one(Work&& work) const {
    if (thread == 0) work();
    sync();
  }
};

/// Multiply-adds of an op below which another thread costs more than it brings: a barrier of two threads is about a
/// microsecond on an idle machine, a time slice on a busy one.
constexpr std::int64_t kWorthThreads = 1 << 19;

/// Runs `body` on every thread of a team. Results do not depend on their number.
/// @param most      the user's limit; 0: OpenMP's
/// @param work      multiply-adds of an op, on average
template <class Body>
void with_team(int most, std::int64_t work, const Body& body) {
  int threads = most > 0 ? most : omp_get_max_threads();
  threads = int(std::clamp<std::int64_t>(work / (kWorthThreads / 2), 1, threads));
  if (threads == 1 || omp_in_parallel() != 0) {
    body(Team{});
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    Team team;
    team.thread = omp_get_thread_num();
    team.threads = omp_get_num_threads();
    body(team);
  }
}

}  // namespace assay::cpu
