// The machine's limits, measured by kernels that do nothing else: reading memory, and products out of registers in each
// mode. Not here: what stays below them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/op.h"
#include "reports/bench.h"

namespace assay {

/// `read`, `fp32`, `bf16`, `int8`.
inline constexpr std::string_view kRoofNames[] = {"read", "fp32", "bf16", "int8"};
/// Of products in a mode of activations.
std::string roof_of(kernels::Acts acts);

/// Takes samples of roofs, between those of what is measured, on as many threads.
class RoofMeter {
 public:
  /// Holds memory of four times the largest cache, at least 128 MiB, where `read` is among the names.
  /// Errors: bad_input (no such roof); unsupported (a gap in the table of kernels).
  static Result<RoofMeter> make(int threads, std::span<const std::string> names);

  /// One sample of each, some milliseconds long.
  void sample();
  std::size_t size() const { return meters_.size(); }
  /// One sample of one roof, untimed: for those who time it themselves. Index in the order of the names.
  void run(std::size_t index);
  void add(std::size_t index, double seconds) { roofs_.all[index].seconds.push_back(seconds); }
  const Roofs& roofs() const { return roofs_; }
  /// Whether what was timed last computed what its spec says.
  bool right();

 private:
  struct Meter {
    const kernels::Kernel* kernel;
    std::unique_ptr<kernels::Trial> trial;
  };
  std::vector<Meter> meters_;
  Roofs roofs_;
};

/// All four, `samples` of each after one that is thrown away. Errors: those of RoofMeter::make; bad_output (a roof's
/// kernel computed something else).
Result<Roofs> measure_roofs(int threads, int samples);

/// Reasons not to believe these roofs' fastest samples; empty if there are none. Each must be there and positive,
/// products narrower than fp32 no slower than fp32 (by more than a fifth), none faster than two fused 512-bit units a
/// core could be at `hertz` (when that is not 0), and reading between 1 GB/s and 200 GB/s a core.
std::vector<std::string> doubts(const Roofs& roofs, int cores, double hertz);

/// Cycles a second of a core, from a chain of additions that take one cycle each; 0 where nobody knows how.
double measured_hertz();

}  // namespace assay
