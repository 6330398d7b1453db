// Times kernels beside their roofs while one is being written. Not here: what users see (`assay kernel bench`).
//   bench_kernels NAME-PART SHAPE [THREADS [ROUNDS [warm]]]     e.g. bench_kernels gemv_q4_0 12288x1536
// Weights are cold: so many trials take turns that their operands exceed the caches. Kernels and roofs take turns, too.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <time.h>

#include "kernels/op.h"

namespace assay::kernels {
namespace {

constexpr double kColdBytes = 400e6;
constexpr int kWarmRuns = 20;

/// The processor time of the slowest thread: wall time would count what other programs on a shared machine take away.
double seconds(Trial& trial, const Kernel& kernel, int threads) {
  const auto now = [] {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
  };
  const std::int64_t rows = trial.rows();
  double slowest = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(max : slowest)
  for (int t = 0; t < threads; ++t) {
    const double start = now();
    trial.run(kernel, int(rows * t / threads), int(rows * (t + 1) / threads));
    slowest = std::max(slowest, now() - start);
  }
  return slowest;
}

struct Timed {
  const Kernel* kernel;
  Cost cost;
  std::vector<std::unique_ptr<Trial>>* trials;
  std::vector<double> times = {};
  /// The least disturbed one: the machine is shared while one writes.
  double best() const { return *std::min_element(times.begin(), times.end()); }
};

int bench(const std::string& part, const std::string& shape_text, int threads, int rounds, bool warm) {
  const Kernel* read = best_kernel(Op::read, Format::fp32, Acts::fp32);
  const Shape read_shape{1 << 12, 1 << 12}, peak_shape{64, 1024};
  std::vector<std::unique_ptr<Trial>> read_trials, peak_trials;
  for (int i = 0; i < 6; ++i) read_trials.push_back(info(Op::read).trial(Format::fp32, Acts::fp32, read_shape, 1));
  for (int i = 0; i < 6; ++i) peak_trials.push_back(info(Op::peak).trial(Format::fp32, Acts::fp32, peak_shape, 1));
  for (const Kernel& wanted : kernels()) {
    if (wanted.name.find(part) == std::string::npos || !runnable(wanted)) continue;
    const OpInfo& op = info(wanted.op);
    const auto shape = parse_shape(op, shape_text);
    if (!shape || !op.invalid(wanted.format, wanted.acts, *shape).empty()) continue;
    const Cost cost = op.cost(wanted.format, wanted.acts, *shape);
    std::vector<std::unique_ptr<Trial>> trials;
    const double wanted_trials = warm ? 1 : std::clamp(std::ceil(kColdBytes / cost.bytes), 1.0, 64.0);
    while (double(trials.size()) < wanted_trials)
      trials.push_back(op.trial(wanted.format, wanted.acts, *shape, trials.size()));
    const Kernel* peak = best_kernel(Op::peak, Format::fp32, wanted.acts);
    Timed kernel{&wanted, cost, &trials};
    Timed bytes{read, info(Op::read).cost(Format::fp32, Acts::fp32, read_shape), &read_trials};
    Timed flops{peak, info(Op::peak).cost(Format::fp32, wanted.acts, peak_shape), &peak_trials};
    for (int round = 0; round < rounds; ++round)
      for (Timed* timed : {&bytes, &flops, &kernel})
        for (std::size_t i = 0; i < (warm ? kWarmRuns : timed->trials->size()); ++i)
          timed->times.push_back(seconds(*(*timed->trials)[i % timed->trials->size()], *timed->kernel, threads));
    trials[0]->run(wanted, threads);
    const Checked checked = trials[0]->check();
    const double time = kernel.best(), bandwidth = bytes.cost.bytes / bytes.best();
    const double arithmetic = flops.cost.flops / flops.best();
    std::printf("%-34s %-16s %d threads %9.3f ms %7.1f GB/s %5.1f %% of %.1f  %8.1f GFLOP/s %5.1f %% of %.0f  %s\n",
                std::string(wanted.name).c_str(), shape_text.c_str(), threads, time * 1e3, cost.bytes / time * 1e-9,
                cost.bytes / time / bandwidth * 100, bandwidth * 1e-9, cost.flops / time * 1e-9,
                cost.flops / time / arithmetic * 100, arithmetic * 1e-9, checked.passed() ? "right" : "WRONG");
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace assay::kernels

int main(int argc, char** argv) {
  if (argc < 3) return std::fputs("bench_kernels NAME-PART SHAPE [THREADS [ROUNDS]]\n", stderr), 2;
  return assay::kernels::bench(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 2, argc > 4 ? std::atoi(argv[4]) : 5,
                               argc > 5);
}
