// Seconds by op of a session's calls. The first thread of a team tells when an op has ended; what lies between two such
// moments is the later op's. Not here: what ops do, what becomes of the numbers.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "engine/op_times.h"
#include "kernels/formats.h"

namespace assay::cpu {

/// What an op cannot do without.
struct OpNeeds {
  double bytes = 0;  ///< weights and cached K/V, once
  double flops = 0;  ///< 2 a product
  kernels::Acts acts = kernels::Acts::fp32;
};

class OpClock {
 public:
  /// A call begins: the time since the last op is nobody's.
  void start() { last_ = Clock::now(); }
  /// `op` has ended. @param op  text that outlives the clock
  void lap(std::string_view op, const OpNeeds& needs) {
    const Clock::time_point now = Clock::now();
    OpTime& time = at(op);
    time.seconds += std::chrono::duration<double>(now - last_).count();
    ++time.calls;
    time.bytes += needs.bytes;
    time.flops += needs.flops;
    if (needs.flops > 0) time.roof = kernels::name(needs.acts);
    last_ = now;
  }
  const std::vector<OpTime>& times() const { return times_; }

 private:
  using Clock = std::chrono::steady_clock;

  OpTime& at(std::string_view op) {
    for (OpTime& time : times_)
      if (time.op == op) return time;
    times_.push_back({.op = std::string(op)});
    return times_.back();
  }

  Clock::time_point last_ = Clock::now();
  std::vector<OpTime> times_;
};

}  // namespace assay::cpu
