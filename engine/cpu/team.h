// The threads of one call. A whole forward is one OpenMP region that every thread walks through; ops split their rows
// and meet at a barrier, so that threads start once a call and not once an op. Not here: what ops do.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include <omp.h>

#include "engine/cpu/op_clock.h"

namespace assay::cpu {

/// Where threads wait for one another. OpenMP's own barrier spins for milliseconds, which is what others who share the
/// cores pay for (a token of E2B on two busy cores: 5 times as long); this one spins for as long as threads of one op
/// differ, then sleeps.
class Barrier {
 public:
  /// False: a thread has left, and nobody is to wait for it.
  bool wait(int threads) {
    const std::uint32_t turn = turn_.load(std::memory_order_acquire);
    if (turn == kLeft) return false;
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      arrived_.store(0, std::memory_order_relaxed);
      go_on(turn + 1);
      return true;
    }
    for (int spin = 0; spin < kSpins; ++spin) {
      if (const std::uint32_t now = turn_.load(std::memory_order_acquire); now != turn) return now != kLeft;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    for (;; turn_.wait(turn, std::memory_order_acquire))
      if (const std::uint32_t now = turn_.load(std::memory_order_acquire); now != turn) return now != kLeft;
  }
  /// The calling thread comes here no more: who waits, or will, is sent away.
  void leave() { go_on(kLeft); }

 private:
  static constexpr std::uint32_t kLeft = std::numeric_limits<std::uint32_t>::max();  // no call has so many barriers

  /// Sequentially consistent: notify_all reads how many sleep, which must not come before the store.
  void go_on(std::uint32_t turn) {
    turn_.store(turn);
    turn_.notify_all();
  }

  static constexpr int kSpins = 4000;  // some 50 microseconds
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> turn_{0};
};

/// What a team's threads have in common.
struct Common {
  Barrier barrier;
  std::mutex mutex;
  std::exception_ptr thrown;                ///< the first that a thread left with
  std::array<std::atomic<int>, 2> taken{};  ///< pieces of this op and of the next one whose pieces are taken in turn
};

/// Thrown by sync() where another thread has left.
struct Left {};

class Team {
 public:
  int thread = 0, threads = 1;
  Common* common = nullptr;  ///< of several threads
  OpClock* clock = nullptr;  ///< of the first thread, where ops are timed

  /// Everything since the lap before was `op`. Told behind the op's last barrier, where it has one.
  void lap(std::string_view op, const OpNeeds& needs = {}) const {
    if (clock != nullptr) clock->lap(op, needs);
  }

  /// Waits until all threads are here, and then sees what they wrote.
  void sync() const {
    if (threads > 1 && !common->barrier.wait(threads)) [[unlikely]]
      throw Left();
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

  /// work(i, next) for each i below n, on whichever thread is free next: for pieces that take unequal time, or threads
  /// that others hold up. `next` is what the thread does after it, n or more: nothing. A sync must follow before the
  /// next such op. Nothing may depend on who does what.
  template <class Work>
  void take_turns_ahead(int n, const Work& work) const {
    if (threads == 1) {
      for (int i = 0; i < n; ++i) work(i, i + 1);
      return;
    }
    std::atomic<int>& taken = this->taken();
    int i = taken.fetch_add(1, std::memory_order_relaxed);
    for (int next = 0; i < n; i = next) {
      next = taken.fetch_add(1, std::memory_order_relaxed);
      work(i, next);
    }
  }

  /// The same where nobody asks what comes next: threads end closer together.
  template <class Work>
  void take_turns(int n, const Work& work) const {
    if (threads == 1) {
      for (int i = 0; i < n; ++i) work(i);
      return;
    }
    std::atomic<int>& taken = this->taken();
    for (int i; (i = taken.fetch_add(1, std::memory_order_relaxed)) < n;) work(i);
  }

  /// work(first, last) for pieces of [0, n) in order, on whichever thread is free next: of `most` at first, smaller
  /// towards the end, so that threads end together.
  /// @param least  of a piece but the last; pieces begin at its multiples, and `most` is one
  template <class Work>
  void take_pieces(int n, int most, int least, const Work& work) const {
    const auto end_of = [=, this](int first) {
      const int even = (n - first) / (2 * threads) / least * least;
      return first + std::min(threads == 1 ? most : std::clamp(even, least, most), n - first);
    };
    int first = 0, at = 0;
    const auto go_to = [&](int piece) {
      for (; at < piece && first < n; ++at) first = end_of(first);
      return first < n;
    };
    if (threads == 1) {
      for (; first < n; first = end_of(first)) work(first, end_of(first));
      return;
    }
    std::atomic<int>& taken = this->taken();
    while (go_to(taken.fetch_add(1, std::memory_order_relaxed))) work(first, end_of(first));
  }

  /// One thread does it, all wait.
  template <class Work>
  void one(Work&& work) const {
    if (thread == 0) work();
    sync();
  }

 private:
  std::atomic<int>& taken() const {
    const std::size_t turn = turns_++ % 2;
    // Everybody has left the op that the other counter was for, and nobody comes to the one it is for before a sync.
    if (thread == 0) common->taken[1 - turn].store(0, std::memory_order_relaxed);
    return common->taken[turn];
  }

  mutable std::size_t turns_ = 0;
};

/// Multiply-adds of an op below which another thread costs more than it brings: a barrier of two threads is about a
/// microsecond on an idle machine, a time slice on a busy one.
constexpr std::int64_t kWorthThreads = 1 << 19;

/// run(thread, threads) on each of about so many threads.
template <class Run>
void on_threads(int threads, const Run& run) {
#if defined(__SANITIZE_THREAD__)  // it does not see libgomp hand over work, and calls that a race
  std::vector<std::jthread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back([&run, t, threads] { run(t, threads); });
  run(0, threads);
#else
#pragma omp parallel num_threads(threads)
  run(omp_get_thread_num(), omp_get_num_threads());
#endif
}

/// Runs `body` on every thread of a team. Results do not depend on their number. What one of them throws (a tap that
/// finds no memory), the others leave for where they would wait for it next, and it is thrown to the caller.
/// @param most      the user's limit; 0: OpenMP's
/// @param work      multiply-adds of an op, on average
/// @param clock     that ops are timed with, or none
template <class Body>
void with_team(int most, std::int64_t work, OpClock* clock, const Body& body) {
  if (clock != nullptr) clock->start();
  int threads = most > 0 ? most : omp_get_max_threads();
  threads = int(std::clamp<std::int64_t>(work / (kWorthThreads / 2), 1, threads));
  if (threads == 1 || omp_in_parallel() != 0) {
    Team team;
    team.clock = clock;
    body(team);
    return;
  }
  Common common;
  on_threads(threads, [&](int thread, int of) {
    Team team;
    team.thread = thread;
    team.threads = of;
    team.common = &common;
    team.clock = thread == 0 ? clock : nullptr;
    try {
      body(team);
    } catch (const Left&) {  // who left first says why
    } catch (...) {
      {
        const std::lock_guard lock(common.mutex);
        if (!common.thrown) common.thrown = std::current_exception();
      }
      common.barrier.leave();
    }
  });
  if (common.thrown) std::rethrow_exception(common.thrown);
}

}  // namespace assay::cpu
