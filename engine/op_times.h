// Seconds by op, told by sessions that time themselves. Optional: such a session derives from TimesOps beside Session,
// and whoever wants to know asks with dynamic_cast. Not here: timing, what becomes of the numbers (harness/bench).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace assay {

/// One op, all its calls together.
struct OpTime {
  std::string op;      ///< `attn.q`, `mlp.down`, `attention`: what a reader of the engine would call it
  double seconds = 0;  ///< on the clock, not summed over threads
  std::int64_t calls = 0;
  double bytes = 0;  ///< that it could not do without: weights and cached K/V once
  double flops = 0;  ///< likewise; 2 a product
  std::string roof;  ///< whose FLOPs they are: `fp32`, `bf16`, `int8`
};

class TimesOps {
 public:
  virtual ~TimesOps() = default;
  /// Starts counting from zero, or stops. It costs speed: nobody times a whole call meanwhile.
  virtual void time_ops(bool on) = 0;
  /// What was counted since, in the order in which a call comes to them first.
  virtual std::vector<OpTime> op_times() const = 0;
};

}  // namespace assay
