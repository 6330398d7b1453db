// Holds a kernel against its spec: at shapes that models have, at shapes that break kernels and at every small size;
// with guard pages around its operands, and with the work split in several ways. Not here: which kernels and shapes
// (shapes.h, the command line), surviving a crash (the caller isolates).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/op.h"

namespace assay {

inline constexpr std::uint64_t kCheckSeed = 20;

/// What is wrong with a kernel at one shape.
struct KernelFault {
  kernels::Shape shape{};
  std::uint64_t seed = 0;
  std::string what;  ///< `3 of 64 wrong, worst 812 x tolerance at 17: expected 1.25, found 0`
};

struct KernelReport {
  std::string kernel;
  std::size_t shapes = 0;  ///< that were tried
  std::size_t cut = 0;     ///< of them: real ones tried with fewer rows or tokens, for their size
  std::size_t judged = 0;  ///< outputs held against the spec's answer
  double worst_ratio = 0;  ///< the largest difference, in tolerances
  std::vector<KernelFault> faults;
  double seconds = 0;
};

struct CheckOptions {
  int threads = 2;  ///< the most that share a kernel's rows; 1, 2, 3 and this are tried
  std::uint64_t seed = kCheckSeed;
  int most_faults = 3;  ///< of one kernel, then its check ends
  /// Called before each shape, so that a crash has a place.
  std::function<void(const kernels::Shape&)> before;
};

/// One shape; none if the kernel is right there. The kernel runs on this machine, and the op takes the shape.
/// Checked are the answer, the guards, the same bits for any split of the rows and any number of threads, and that a
/// part of the rows is all that is written.
/// @param report  counts are added to it, faults are not
std::optional<KernelFault> check_shape(const kernels::Kernel& kernel, const kernels::Shape& shape,
                                       const CheckOptions& options, KernelReport& report);

/// Every awkward shape of the op, every size 1 to 70 of each dimension that the format takes, and `real`, cut to
/// kCheckBytes and kCheckFlops.
KernelReport check_kernel(const kernels::Kernel& kernel, std::span<const kernels::Shape> real,
                          const CheckOptions& options);
inline constexpr double kCheckBytes = 24e6, kCheckFlops = 1.5e8;

/// The awkward shapes, then each dimension from 1 to 70 while the others are as in the first of them that has more than
/// one block; invalid ones left out.
std::vector<kernels::Shape> small_shapes(const kernels::OpInfo& op, kernels::Format format, kernels::Acts acts);

}  // namespace assay
