// `assay kernel watch`: one kernel built, checked and timed on every save of its source.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "harness/cli/kernel_verbs.h"
#include "harness/cli/scratch.h"
#include "harness/cli/verbs.h"
#include "harness/kernel/bench.h"
#include "harness/kernel/watch.h"
#include "harness/machine/machine.h"
#include "harness/verify/isolate.h"
#include "reports/bench_report.h"
#include "reports/samples.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;

/// What a child says of a kernel that was just built.
struct Tried {
  Json check;
  std::optional<BenchRun> bench;
  std::string crash;
};

Tried try_out(const Kernel& fresh, const std::optional<Kernel>& before, const Shape& shape,
              const std::vector<Shape>& real, const KernelOptions& options) {
  const OpInfo& op = kernels::info(fresh.op);
  const assay::Work work = [&](const Send& send) {
    const KernelReport report =
        check_kernel(fresh, real, {.threads = threads_of(options), .seed = options.seed, .most_faults = 1});
    send(json_of(report, op).dump());
    if (!report.faults.empty()) return;
    BenchRun run;
    std::vector<const Kernel*> both{&fresh};
    if (before) both.push_back(&*before);
    const auto done = bench_kernels({.kernels = both, .shape = shape},
                                    {.threads = threads_of(options),
                                     .repetitions = options.repetitions,
                                     .seconds = options.seconds,
                                     .cold = true,
                                     .warm = false},
                                    run);
    if (!done) throw std::runtime_error(done.error().message());
    run.version = version();
    run.machine = machine_facts();
    send(to_json(run));
  };
  const Outcome outcome =
      isolate({work}, {.children = 1, .deadline = std::chrono::duration<double>(options.deadline)})[0];
  Tried verdict;
  if (!outcome.messages.empty()) verdict.check = Json::parse(outcome.messages[0]);
  if (outcome.messages.size() > 1) {
    auto run = bench_run_from_json(outcome.messages[1], "child");
    if (run) verdict.bench = std::move(*run);
  }
  if (outcome.end != Outcome::finished) verdict.crash = outcome.what;
  return verdict;
}

class Watcher {
 public:
  Watcher(const Kernel& kernel, const Shape& shape, std::vector<Shape> real, Workshop workshop,
          const KernelOptions& options)
      : kernel_(kernel), shape_(shape), real_(std::move(real)), workshop_(std::move(workshop)), options_(options) {}

  /// Builds, checks and times what is saved now. Whether all went well.
  bool turn(std::chrono::system_clock::time_point saved) {
    const auto start = std::chrono::steady_clock::now();
    const auto since = [](auto time) {
      return std::chrono::duration<double>(decltype(time)::clock::now() - time).count();
    };
    auto built = build_kernel(kernel_, workshop_);
    const double build_seconds = since(start);
    if (!built) {
      say({{"built", false}, {"what", built.error().found}}, fmt::format("does not compile\n{}", built.error().found));
      return false;
    }
    Kernel fresh = *built;
    fresh.name = "now";
    std::optional<Kernel> before = before_;
    if (before) before->name = "before";
    const Tried verdict = try_out(fresh, before, shape_, real_, options_);
    const bool right = verdict.crash.empty() && !verdict.check.is_null() && verdict.check["faults"].empty();
    std::string line;
    if (!verdict.crash.empty())
      line = "CRASH " + verdict.crash;
    else if (!right)
      line = fmt::format("WRONG {}: {}", verdict.check["faults"][0]["shape"].get<std::string>(),
                         verdict.check["faults"][0]["what"].get<std::string>());
    else
      line = fmt::format("right at {} shapes; {}", verdict.check["shapes"].get<std::size_t>(), speed(verdict));
    const double total = since(saved);
    Json json{{"built", true},  {"build_seconds", build_seconds}, {"seconds", total},
              {"right", right}, {"check", verdict.check},         {"crash", verdict.crash}};
    if (verdict.bench) json["bench"] = Json::parse(to_json(*verdict.bench));
    say(json, fmt::format("{}\n      built in {:.1f} s, verdict {:.1f} s after the save", line, build_seconds, total));
    if (right) before_ = *built;
    return right;
  }

 private:
  void say(const Json& json, const std::string& text) const {
    if (options_.json)
      fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
    else
      fmt::print("{} {}: {}\n", kernel_.name, kernels::to_string(kernels::info(kernel_.op), shape_), text);
    std::fflush(stdout);
  }

  static std::string speed(const Tried& verdict) {
    if (!verdict.bench || verdict.bench->results.empty()) return "not timed";
    const BenchRun& run = *verdict.bench;
    const BenchResult& now = run.results[0];
    std::string text = fmt::format("{:.4g} us, {:.0f} % of the {} roof", now.median_seconds() * 1e6,
                                   100 * now.share(run.roofs), now.bound_by(run.roofs).roof);
    if (run.results.size() < 2) return text;
    const BenchResult& before = run.results[1];
    const double change = now.median_seconds() / before.median_seconds() - 1;
    const double noise = (mad(now.seconds) + mad(before.seconds)) / before.median_seconds();
    const char* word = std::abs(change) <= 2 * noise ? "no change beyond noise" : change < 0 ? "FASTER" : "SLOWER";
    return text + fmt::format("; {:+.1f} % against the last save, measured beside it (noise {:.1f} %): {}",
                              100 * change, 100 * noise, word);
  }

  const Kernel& kernel_;
  Shape shape_;
  std::vector<Shape> real_;
  Workshop workshop_;
  const KernelOptions& options_;
  std::optional<Kernel> before_;
};

/// The one kernel that is meant: of those that run here the one that dispatch takes.
Result<const Kernel*> one_kernel(const KernelOptions& options) {
  ASSAY_TRY(selected, chosen_kernels(options));
  const Kernel* found = nullptr;
  for (const Kernel* kernel : selected) {
    if (found != nullptr && (kernel->op != found->op || kernel->format != found->format || kernel->acts != found->acts))
      return fail({Failure::bad_input, "watch", "", "one op, format and mode: gemv_q4_0_int8", options.names[0]});
    if (found == nullptr || kernel->isa > found->isa) found = kernel;
  }
  if (found == nullptr) return fail({Failure::unsupported, "watch", "", "a kernel that runs here", options.names[0]});
  return found;
}

}  // namespace

Result<int> watched_kernel(const KernelOptions& options) {
  ASSAY_TRY(kernel, one_kernel(options));
  const OpInfo& op = kernels::info(kernel->op);
  ASSAY_TRY(uses, uses_of(options, {"e2b"}));
  constexpr int kRealChecked = 6;  // the rest is `kernel check`'s: a verdict must come while the edit is in mind
  std::vector<Shape> real = costly_shapes(op, *kernel, uses, kRealChecked);
  if (real.empty() && options.shape.empty())
    return fail({Failure::bad_input, "--shape", std::string(kernel->name), "a shape: models have none of it", "none"});
  Shape shape{};
  if (!options.shape.empty()) {
    const auto parsed = kernels::parse_shape(op, options.shape);
    const std::string why = parsed ? op.invalid(kernel->format, kernel->acts, *parsed) : "another number of dimensions";
    if (!why.empty()) return fail({Failure::bad_input, "--shape", std::string(kernel->name), why, options.shape});
    shape = *parsed;
  } else {
    shape = cut(op, kernel->format, kernel->acts, real[0], 1e9, 4e9);
  }
  ASSAY_TRY(scratch, Scratch::make("assay-watch"));
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const Workshop workshop{.source = source_folder(), .build = program.parent_path(), .scratch = scratch.path()};
  ASSAY_TRY(source, source_of(*kernel, workshop.source));
  Watcher watcher(*kernel, shape, std::move(real), workshop, options);
  auto stamps = stamps_of(files_of(source, workshop.source));
  const bool right = watcher.turn(std::chrono::system_clock::now());
  if (options.once) return right ? 0 : 1;
  if (!options.json) fmt::print("watching {}\n", fs::relative(source, workshop.source).string());
  std::fflush(stdout);
  while (true) {
    // A look at a handful of files costs nothing and sees every way that editors save; inotify loses a file that is
    // replaced by renaming.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    auto now = stamps_of(files_of(source, workshop.source));
    if (now == stamps || now[source] == 0) continue;
    stamps = std::move(now);
    watcher.turn(std::chrono::system_clock::now());
  }
}

}  // namespace assay
