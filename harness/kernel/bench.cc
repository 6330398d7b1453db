#include "harness/kernel/bench.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>

#include <unistd.h>

#include <benchmark/benchmark.h>

#include "harness/kernel/roofs.h"
#include "harness/machine/machine.h"
#include "reports/samples.h"

namespace assay {
namespace {

using kernels::Kernel;
using kernels::OpInfo;
using kernels::Trial;
using Trials = std::vector<std::unique_ptr<Trial>>;

constexpr double kSlow = 0.25;  ///< seconds of one run from which on repetitions are rationed
constexpr double kRation = 1;   ///< seconds that a slow kernel gets, in each way

/// What was timed under one name.
struct Timed {
  std::vector<double> seconds;
  bool right = true;
};

/// Keeps what Google Benchmark measures: nothing is printed.
class Keeper : public benchmark::BenchmarkReporter {
 public:
  explicit Keeper(std::map<std::string, Timed>& timed) : timed_(timed) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Iteration && run.iterations > 0)
        timed_[run.run_name.function_name].seconds.push_back(run.real_accumulated_time / double(run.iterations));
  }

 private:
  std::map<std::string, Timed>& timed_;
};

/// Random interleaving is a flag of the library's command line.
void prepare_library() {
  static const bool done = [] {
    std::string name = "assay", flag = "--benchmark_enable_random_interleaving=true";
    char* arguments[] = {name.data(), flag.data(), nullptr};
    int count = 2;
    benchmark::Initialize(&count, arguments);
    return true;
  }();
  (void)done;
}

/// Resident bytes of this process.
double resident() {
  std::ifstream in("/proc/self/statm");
  double all = 0, here = 0;
  in >> all >> here;
  return here * double(sysconf(_SC_PAGESIZE));
}

/// So many operands that the largest cache holds a quarter of them at most; fewer where they would take more than
/// most_bytes of memory (a lookup's table is larger than what is read of it).
Trials cold_trials(const OpInfo& op, const Kernel& kernel, const kernels::Shape& shape, double most_bytes) {
  const double each = op.cost(kernel.format, kernel.acts, shape).bytes, before = resident();
  const double wanted = 4 * double(last_level_cache(machine_facts()));
  constexpr std::size_t kMost = 2000;  // each is several mappings, of which a process may have 65530
  Trials trials;
  do {
    trials.push_back(op.trial(kernel.format, kernel.acts, shape, trials.size() + 1));
  } while (trials.size() < kMost && double(trials.size()) * each < wanted && resident() - before < most_bytes);
  return trials;
}

double once(Trial& trial, const Kernel& kernel, int threads) {
  const auto start = std::chrono::steady_clock::now();
  trial.run(kernel, threads);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Judges what the last timed run left. Ops that work in place have then fed on their own output: they are run once
/// more from the start.
bool still_right(Trial& trial, const Kernel& kernel, int threads, bool in_place) {
  if (in_place) {
    trial.reset();
    trial.run(kernel, threads);
  }
  return trial.check().passed();
}

struct Way {
  const char* name;
  std::size_t trials;  ///< that take turns
};

/// That kernel's times in one way; nullptr: it was not timed.
const Timed* find(const std::map<std::string, Timed>& timed, const std::string& name) {
  const auto at = timed.find(name);
  return at == timed.end() || at->second.seconds.empty() ? nullptr : &at->second;
}

}  // namespace

Result<void> bench_kernels(const KernelBench& what, const KernelBenchOptions& options, BenchRun& run) {
  if (what.kernels.empty()) return {};
  const Kernel& first = *what.kernels.front();
  const OpInfo& op = kernels::info(first.op);
  const std::string shape = kernels::to_string(op, what.shape);
  if (const std::string wrong = op.invalid(first.format, first.acts, what.shape); !wrong.empty())
    return fail({Failure::bad_input, "--shape", shape, "a shape that " + std::string(first.name) + " takes", wrong});
  const kernels::Cost cost = op.cost(first.format, first.acts, what.shape);
  if (cost.bytes > options.most_bytes)
    return fail({Failure::bad_input, "--shape", shape, "operands of at most " + short_number(options.most_bytes) + "B",
                 short_number(cost.bytes) + "B"});

  std::vector<std::string> roofs{"read"};
  if (cost.flops > 0) roofs.push_back(roof_of(first.acts));
  ASSAY_TRY(meter, RoofMeter::make(options.threads, roofs));
  Trials trials = cold_trials(op, first, what.shape, options.most_bytes);
  std::vector<Way> ways;
  if (options.cold) ways.push_back({"cold", trials.size()});
  if (options.warm && cost.bytes * 2 < double(last_level_cache(machine_facts()))) ways.push_back({"warm", 1});

  prepare_library();
  std::map<std::string, Timed> timed;
  const auto name_of = [](const Kernel& kernel, const Way& way) { return std::string(kernel.name) + "/" + way.name; };
  for (std::size_t i = 0; i < meter.size(); ++i)
    benchmark::RegisterBenchmark(roofs[i].c_str(),
                                 [&meter, i](benchmark::State& state) {
                                   for (auto _ : state) meter.run(i);
                                 })
        ->UseRealTime()
        ->MinTime(options.seconds)
        ->Repetitions(options.repetitions);
  const Kernel& quickest = **std::max_element(what.kernels.begin(), what.kernels.end(),
                                              [](const Kernel* a, const Kernel* b) { return a->isa < b->isa; });
  once(*trials[0], quickest, options.threads);
  once(*trials[0], quickest, options.threads);
  const bool in_place = !trials[0]->check().passed();
  std::vector<std::size_t> turns(what.kernels.size() * ways.size(), 0);
  for (std::size_t k = 0; k < what.kernels.size(); ++k) {
    const Kernel& kernel = *what.kernels[k];
    const double slow = once(*trials[0], kernel, options.threads);  // its first run, which warms code and threads up
    const int repetitions =
        slow < kSlow ? options.repetitions : std::clamp(int(kRation / slow), 1, options.repetitions);
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const std::string name = name_of(kernel, ways[w]);
      auto* registered = benchmark::RegisterBenchmark(
          name.c_str(), [&, name, count = ways[w].trials, turn = &turns[k * ways.size() + w],
                         threads = options.threads](benchmark::State& state) {
            Trial* last = nullptr;
            for (auto _ : state) {
              last = trials[(*turn)++ % count].get();
              last->run(kernel, threads);
            }
            if (last != nullptr && !still_right(*last, kernel, threads, in_place)) timed[name].right = false;
          });
      registered->UseRealTime()->Repetitions(repetitions);
      if (slow < kSlow)
        registered->MinTime(options.seconds);
      else
        registered->Iterations(1);
    }
  }
  Keeper keeper(timed);
  benchmark::RunSpecifiedBenchmarks(&keeper, "all");
  benchmark::ClearRegisteredBenchmarks();

  run.roofs.threads = options.threads;
  for (const Roof& measured : meter.roofs().all) {
    auto known = std::find_if(run.roofs.all.begin(), run.roofs.all.end(),
                              [&](const Roof& roof) { return roof.name == measured.name; });
    if (known == run.roofs.all.end()) known = run.roofs.all.insert(known, measured);
    const std::vector<double>& seconds = timed[measured.name].seconds;
    known->seconds.insert(known->seconds.end(), seconds.begin(), seconds.end());
  }
  std::map<std::string, double> beside;
  for (const Roof& roof : meter.roofs().all)
    if (const double seconds = median(timed[roof.name].seconds); seconds > 0) beside[roof.name] = roof.amount / seconds;
  for (const Way& way : ways)
    for (const Kernel* kernel : what.kernels) {
      const std::string name = name_of(*kernel, way);
      const Timed* found = find(timed, name);
      if (found == nullptr) continue;
      BenchResult result{.subject = std::string(kernel->name),
                         .what = shape,
                         .how = way.name,
                         .units = 1,
                         .unit = "call",
                         .seconds = found->seconds,
                         .must = {.bytes = cost.bytes, .flops = {}},
                         .right = found->right,
                         .rerun = "assay kernel bench " + std::string(kernel->name) + " --shape " + shape +
                                  " --threads " + std::to_string(options.threads),
                         .times = {},
                         .ops = {},
                         .note = {}};
      result.beside = beside;
      if (cost.flops > 0) result.must.flops[roof_of(first.acts)] = cost.flops;
      for (const Kernel* other : what.kernels) {
        const bool yardstick = other->isa == kernels::Isa::portable || other->isa == kernels::Isa::eigen;
        const Timed* theirs = yardstick && other != kernel ? find(timed, name_of(*other, way)) : nullptr;
        if (theirs == nullptr) continue;
        BenchResult as{.seconds = theirs->seconds};
        result.times[std::string(kernels::name(other->isa))] = as.median_seconds() / result.median_seconds();
      }
      run.results.push_back(std::move(result));
    }
  return {};
}

}  // namespace assay
