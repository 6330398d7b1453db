// What the verbs below `assay kernel` have in common: their options, and which kernels and shapes those mean. The
// verbs: kernel_list.cc, kernel_check.cc, kernel_bench.cc, kernel_watch.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "harness/kernel/check.h"
#include "harness/kernel/shapes.h"
#include "kernels/registry.h"

namespace assay {

/// Of all four; each reads its own.
struct KernelOptions {
  std::vector<std::string> names, models;
  std::string shape, isa, svg;
  std::uint64_t seed = kCheckSeed;
  int threads = 0, repetitions = 7, top = 3;
  double seconds = 0.03, deadline = 600;
  bool json = false, once = false, alone = false, no_warm = false, taken = false, shapes = false;
};

int threads_of(const KernelOptions& options);

/// Kernels that are meant, run here and, with --isa, are of that instruction set. Errors: bad_input.
Result<std::vector<const kernels::Kernel*>> chosen_kernels(const KernelOptions& options);

/// Real shapes of the models that are meant: those named, or the given default. Errors: bad_input.
Result<std::vector<KernelUse>> uses_of(const KernelOptions& options, const std::vector<std::string_view>& models);

/// The uses of an op that cost most in their pass, as the roofs stand to each other on common machines (40 bytes'
/// time are worth 1000 FLOPs).
std::vector<kernels::Shape> costly_shapes(const kernels::OpInfo& op, const kernels::Kernel& kernel,
                                          const std::vector<KernelUse>& uses, int most);

nlohmann::ordered_json json_of(const KernelReport& report, const kernels::OpInfo& op);

// The verbs. They print; their exit code, or an error.
Result<int> list_of_kernels(const KernelOptions& options);
Result<int> checked_kernels(const KernelOptions& options);
/// @param command  as it was given, for the report
Result<int> timed_kernels(const KernelOptions& options, const std::string& command);
Result<int> watched_kernel(const KernelOptions& options);

}  // namespace assay
