// How kernels fetch what comes later, how far ahead matrix-vector kernels do, and what they may keep beside it.
// Internal linkage.
#pragma once

#include <cstddef>

namespace assay::kernels::cpu {
namespace {

/// Rows are read several at a time, in streams too short for the hardware to foresee; the rows that come next lie a
/// multiple of `group` bytes further on. Memory answers in some 100 ns, in which a core takes 4 KB: at least twice
/// that.
[[gnu::always_inline]] inline std::size_t prefetch_distance(std::size_t group) {
  constexpr std::size_t kLeast = 16384;
  return (kLeast + group - 1) / group * group;
}

/// Where weights are read from front to back: as far ahead as memory takes, no further. What is asked for too early
/// waits before what is needed now (Zen 4, two threads at 34 GB/s: 4 KB ahead 92 % of plain reading, 7 KB 98, 8 KB 95,
/// 16 KB 88; one thread 68, 87, 90, 90).
constexpr std::size_t kStreamAhead = 7168;

/// Bytes of x, or of what is made of it, that stay in a first-level cache of 32 KiB while weights pass through.
constexpr std::size_t kMostKept = 22528;

/// Asks for a line that is used some microseconds later: into the second level. Asked for into the first, Zen 4 gets
/// them at half the speed (weights in Q4_0, one thread: 9.5 GB/s, not 21).
[[gnu::always_inline]] inline void fetch_line(const std::byte* p) { __builtin_prefetch(p, 0, 2); }

}  // namespace
}  // namespace assay::kernels::cpu
