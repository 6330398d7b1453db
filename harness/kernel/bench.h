// Times kernels of one op at one shape beside one another and beside the roofs, with Google Benchmark: repetitions of
// all of them take turns in random order, on the same threads. Not here: which kernels and shapes, reports' forms.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/op.h"
#include "reports/bench.h"

namespace assay {

struct KernelBenchOptions {
  int threads = 2;
  int repetitions = 7;
  double seconds = 0.03;    ///< of one repetition, at least; slow kernels run once and have fewer repetitions
  bool cold = true;         ///< operands that no cache holds: so many of them take turns
  bool warm = true;         ///< the same operands again and again; left out where the largest cache does not hold them
  double most_bytes = 3e9;  ///< of operands in memory
};

/// Kernels of one op, format and mode of activations, at one shape.
struct KernelBench {
  std::vector<const kernels::Kernel*> kernels;  ///< all of them run on this machine
  kernels::Shape shape{};
};

/// Appends a result for each kernel and way to `run.results`, and samples to `run.roofs` (those of the roofs that bound
/// the op: reading, and products in its mode). Outputs are judged after each repetition: `right`. `times` says how
/// many times as fast as the table's `portable` and `eigen` a kernel is where they are in the list, in the same way
/// (cold, warm). Errors: bad_input (a shape that the op does not take, operands over most_bytes), those of
/// RoofMeter::make.
Result<void> bench_kernels(const KernelBench& what, const KernelBenchOptions& options, BenchRun& run);

}  // namespace assay
