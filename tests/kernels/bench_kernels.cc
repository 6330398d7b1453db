// Times kernels beside their roofs while one is being written. Not here: what users see (`assay kernel bench`).
//   bench_kernels NAME-PART SHAPE [THREADS [ROUNDS]]     e.g. bench_kernels gemv_q4_0 12288x1536
// Weights are cold: so many trials take turns that their operands exceed the caches. Kernels and roofs take turns, too.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/op.h"

namespace assay::kernels {
namespace {

constexpr double kColdBytes = 400e6;

double seconds(Trial& trial, const Kernel& kernel, int threads) {
  const auto start = std::chrono::steady_clock::now();
  trial.run(kernel, threads);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Timed {
  const Kernel* kernel;
  Cost cost;
  std::vector<std::unique_ptr<Trial>>* trials;
  std::vector<double> times = {};
  double median() {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }
};

int bench(const std::string& part, const std::string& shape_text, int threads, int rounds) {
  const Kernel* read = best_kernel(Op::read, Format::fp32, Acts::fp32);
  const Shape read_shape{1 << 14, 1 << 12}, peak_shape{64, 1024};
  std::vector<std::unique_ptr<Trial>> read_trials, peak_trials;
  read_trials.push_back(info(Op::read).trial(Format::fp32, Acts::fp32, read_shape, 1));
  peak_trials.push_back(info(Op::peak).trial(Format::fp32, Acts::fp32, peak_shape, 1));
  for (const Kernel& wanted : kernels()) {
    if (wanted.name.find(part) == std::string::npos || !runnable(wanted)) continue;
    const OpInfo& op = info(wanted.op);
    const auto shape = parse_shape(op, shape_text);
    if (!shape || !op.invalid(wanted.format, wanted.acts, *shape).empty()) continue;
    const Cost cost = op.cost(wanted.format, wanted.acts, *shape);
    std::vector<std::unique_ptr<Trial>> trials;
    for (double bytes = 0; bytes == 0 || bytes < kColdBytes; bytes += std::max(cost.bytes, 1e8))
      trials.push_back(op.trial(wanted.format, wanted.acts, *shape, trials.size()));
    if (cost.bytes < 1e8)  // small operands: enough of them, but not hundreds of each big trial
      while (double(trials.size()) * cost.bytes < kColdBytes && trials.size() < 64)
        trials.push_back(op.trial(wanted.format, wanted.acts, *shape, trials.size()));
    const Kernel* peak = best_kernel(Op::peak, Format::fp32, wanted.acts);
    Timed kernel{&wanted, cost, &trials};
    Timed bytes{read, info(Op::read).cost(Format::fp32, Acts::fp32, read_shape), &read_trials};
    Timed flops{peak, info(Op::peak).cost(Format::fp32, wanted.acts, peak_shape), &peak_trials};
    for (int round = 0; round < rounds; ++round)
      for (Timed* timed : {&bytes, &flops, &kernel})
        for (std::size_t i = 0; i < timed->trials->size(); ++i)
          timed->times.push_back(seconds(*(*timed->trials)[i], *timed->kernel, threads));
    trials[0]->run(wanted, threads);
    const Checked checked = trials[0]->check();
    const double time = kernel.median(), bandwidth = bytes.cost.bytes / bytes.median();
    const double arithmetic = flops.cost.flops / flops.median();
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
  return assay::kernels::bench(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 2, argc > 4 ? std::atoi(argv[4]) : 5);
}
