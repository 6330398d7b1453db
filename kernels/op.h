// What every op offers to those who list, check and time its kernels without knowing it: dimensions, cost, and trials,
// each a kernel's operands at one shape with the answer that the spec demands. Not here: the ops (spec/), which kernels
// there are (registry.h), roofs and reports (harness/kernel).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/registry.h"

namespace assay::kernels {

/// An op's dimensions in the order of OpInfo::dims; the rest is 0.
using Shape = std::array<int, 10>;

/// What a call cannot do without: bytes that it must read or write once, and the products (2 each) and sums it must
/// make.
struct Cost {
  double bytes = 0, flops = 0;
};

/// How a trial's output compares with the spec's answer.
struct Checked {
  std::size_t judged = 0, wrong = 0;
  double worst_ratio = 0;           ///< largest |actual - expected| / tolerance; infinite where actual is not finite
  std::size_t worst = 0;            ///< its index in the output
  double expected = 0, actual = 0;  ///< there
  bool guards_intact = true;        ///< nothing was written beside the rows that the kernel was told to write
  bool passed() const { return judged > 0 && wrong == 0 && guards_intact; }
};

/// Operands and answer of one op at one shape. Buffers end at a page that cannot be read, so that reading on is a
/// crash.
class Trial {
 public:
  virtual ~Trial() = default;
  /// What threads share out.
  virtual int rows() const = 0;
  /// One thread's part: output rows [first, last).
  virtual void run(const Kernel& kernel, int first, int last) = 0;
  /// Forgets the output: fills it with a value that no kernel writes.
  virtual void reset() = 0;
  /// The output's bytes as they are.
  virtual std::span<const std::byte> output() const = 0;
  /// Judges output rows [first, last), and that the others are as reset() left them. The answer is worked out in double
  /// from the same operands; large shapes are judged on a sample of outputs, the first and last among them.
  virtual Checked check(int first, int last) = 0;
  /// Spoils the output as losing one product of a sum would (one of ordinary size): check() must then fail. Ops without
  /// sums change one output by its smallest wrong step.
  virtual void lose_one_product() = 0;

  Checked check() { return check(0, rows()); }
  /// All rows, shared out among `threads` OpenMP threads as the engine would: in contiguous parts.
  void run(const Kernel& kernel, int threads);
};

struct OpInfo {
  Op op;
  std::string_view name, what;
  std::vector<std::string_view> dims;
  /// Shapes that break kernels: few rows, odd rows, one block, tails; valid for the format and mode.
  std::vector<Shape> (*awkward)(Format format, Acts acts);
  Cost (*cost)(Format format, Acts acts, const Shape& shape);
  /// The same operands for the same seed on every machine. The shape is valid (check with `valid`).
  std::unique_ptr<Trial> (*trial)(Format format, Acts acts, const Shape& shape, std::uint64_t seed);
  /// Empty if the shape is one that the op takes in this format and mode, else what is wrong with it.
  std::string (*invalid)(Format format, Acts acts, const Shape& shape);
};

/// Defined in spec/NAME.cc.
#define OP(name) const OpInfo& info_of(spec::name);
#include "kernels/ops.inc"
#undef OP
/// One for each line of ops.inc, in its order.
std::span<const OpInfo* const> ops();
inline const OpInfo& info(Op op) { return *ops()[std::size_t(op)]; }

/// "12288x1536x512", as many numbers as the op has dimensions. Empty for anything else.
std::optional<Shape> parse_shape(const OpInfo& op, std::string_view text);
std::string to_string(const OpInfo& op, const Shape& shape);

}  // namespace assay::kernels
