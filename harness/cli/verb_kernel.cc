// `assay kernel`: what kernels there are, whether they are right, how fast they are, and all three again on every save;
// the work is harness/kernel/. This file reads options and prints.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "harness/cli/progress.h"
#include "harness/cli/scratch.h"
#include "harness/cli/verbs.h"
#include "harness/kernel/bench.h"
#include "harness/kernel/check.h"
#include "harness/kernel/select.h"
#include "harness/kernel/shapes.h"
#include "harness/kernel/watch.h"
#include "harness/machine/machine.h"
#include "harness/verify/isolate.h"
#include "model/published_config.h"
#include "reports/bench_report.h"
#include "reports/samples.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using kernels::Isa;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;

struct Options {
  std::vector<std::string> names, models;
  std::string shape, isa, svg, json_file;
  std::uint64_t seed = kCheckSeed;
  int threads = 0, repetitions = 7, top = 3;
  double seconds = 0.03, deadline = 600;
  bool json = false, once = false, alone = false, no_warm = false, taken = false;
};

int threads_of(const Options& options) { return options.threads > 0 ? options.threads : machine_facts().cores; }

Result<void> force_isa(const Options& options) {
  if (options.isa.empty()) return {};
  const auto isa = kernels::parse_isa(options.isa);
  if (!isa) return fail({Failure::bad_input, "--isa", "", "an instruction set of `kernel list`", options.isa});
  if (!kernels::limit_isa(*isa))
    return fail({Failure::unsupported, "--isa", "", "one that this machine has", options.isa});
  return {};
}

/// Kernels that are meant, run here and, with --isa, are of that instruction set. Errors: bad_input.
Result<std::vector<const Kernel*>> chosen_kernels(const Options& options) {
  if (!options.isa.empty() && !kernels::parse_isa(options.isa))
    return fail({Failure::bad_input, "--isa", "", "an instruction set of `kernel list`", options.isa});
  ASSAY_TRY(selected, select_kernels(options.names));
  if (!options.isa.empty())
    std::erase_if(selected, [&](const Kernel* kernel) { return kernels::name(kernel->isa) != options.isa; });
  return selected;
}

/// Real shapes of the models that are meant: those named, or the given default.
Result<std::vector<KernelUse>> uses_of(const Options& options, const std::vector<std::string_view>& models) {
  std::vector<std::string> names = options.models;
  if (names.empty()) names.assign(models.begin(), models.end());
  std::vector<KernelUse> uses;
  for (const std::string& name : names) {
    const auto known = published_names();
    const bool published = std::find(known.begin(), known.end(), name) != known.end();
    ASSAY_TRY(config, published ? published_config(name) : read_config(fs::path(name) / "config.json"));
    ASSAY_TRY(plan, make_plan(config));
    merge(uses, real_uses(plan));
  }
  return uses;
}

// list

std::string isa_names(const std::vector<const Kernel*>& kernels) {
  std::string names;
  for (const Kernel* kernel : kernels)
    names += (names.empty() ? "" : " ") + std::string(kernels::name(kernel->isa)) +
             (kernels::runnable(*kernel) ? "" : "(not here)");
  return names;
}

int list(const Options& options) {
  if (const auto forced = force_isa(options); !forced) return report(forced.error());
  const std::vector<KernelRow> rows = kernel_rows();
  if (options.json) {
    Json out = Json::array();
    for (const KernelRow& row : rows) {
      Json names = Json::array(), gaps = Json::array();
      for (const Kernel* kernel : row.kernels)
        names.push_back(
            {{"kernel", kernel->name}, {"isa", kernels::name(kernel->isa)}, {"runs_here", kernels::runnable(*kernel)}});
      for (const Isa isa : row.gaps) gaps.push_back(kernels::name(isa));
      out.push_back({{"op", row.op->name},
                     {"format", kernels::name(row.format)},
                     {"acts", kernels::name(row.acts)},
                     {"taken", row.taken == nullptr ? Json(nullptr) : Json(row.taken->name)},
                     {"kernels", names},
                     {"gaps", gaps}});
    }
    fmt::print("{}\n", out.dump(1));
    return 0;
  }
  fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", "op", "format", "acts", "taken here", "kernels; - gaps");
  std::size_t gaps = 0;
  for (const KernelRow& row : rows) {
    std::string line = isa_names(row.kernels);
    for (const Isa isa : row.gaps) line += " -" + std::string(kernels::name(isa));
    gaps += row.gaps.size();
    fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", row.op->name, kernels::name(row.format), kernels::name(row.acts),
               row.taken == nullptr ? "nothing" : kernels::name(row.taken->isa), line);
  }
  fmt::print("{} kernels of {} ops; {} gaps, where a machine with that instruction set takes a lesser kernel\n",
             kernels::kernels().size(), kernels::ops().size(), gaps);
  return 0;
}

// check

Json json_of(const KernelReport& report, const OpInfo& op) {
  Json faults = Json::array();
  for (const KernelFault& fault : report.faults)
    faults.push_back({{"shape", kernels::to_string(op, fault.shape)}, {"seed", fault.seed}, {"what", fault.what}});
  return {{"kernel", report.kernel}, {"shapes", report.shapes},           {"cut", report.cut},
          {"judged", report.judged}, {"worst_ratio", report.worst_ratio}, {"seconds", report.seconds},
          {"faults", faults}};
}

/// Checks a kernel in a child: what crashes it is a fault of the shape it was at.
Json checked_apart(const Kernel& kernel, const std::vector<Shape>& shapes, bool only_these, const Options& options) {
  const OpInfo& op = kernels::info(kernel.op);
  constexpr std::string_view kAt = "at ";
  const assay::Work work = [&](const Send& send) {
    CheckOptions check{.threads = threads_of(options), .seed = options.seed};
    check.before = [&](const Shape& shape) { send(std::string(kAt) + kernels::to_string(op, shape)); };
    KernelReport report;
    if (only_these) {
      report.kernel = kernel.name;
      for (const Shape& shape : shapes) {
        check.before(shape);
        if (auto fault = check_shape(kernel, shape, check, report)) report.faults.push_back(std::move(*fault));
      }
    } else {
      report = check_kernel(kernel, shapes, check);
    }
    send(json_of(report, op).dump());
  };
  const Outcome outcome =
      isolate({work}, {.children = 1, .deadline = std::chrono::duration<double>(options.deadline)})[0];
  if (outcome.end == Outcome::finished && !outcome.messages.empty()) return Json::parse(outcome.messages.back());
  std::string at = "?";
  std::size_t tried = 0;
  for (const std::string& message : outcome.messages)
    if (message.starts_with(kAt)) at = message.substr(kAt.size()), ++tried;
  return {{"kernel", kernel.name},
          {"shapes", tried},
          {"cut", 0},
          {"judged", 0},
          {"worst_ratio", 0},
          {"seconds", outcome.seconds},
          {"faults", {{{"shape", at}, {"seed", options.seed}, {"what", outcome.what}}}}};
}

void print_check(const Json& report) {
  const std::string name = report["kernel"].get<std::string>();
  if (report["faults"].empty()) {
    const auto cut = report["cut"].get<std::size_t>();
    fmt::print("ok    {:<36} {:>4} shapes{}, {} outputs, worst {:.2g} of tolerance, {:.1f} s\n", name,
               report["shapes"].get<std::size_t>(), cut == 0 ? "" : fmt::format(" ({} cut)", cut),
               report["judged"].get<std::size_t>(), report["worst_ratio"].get<double>(),
               report["seconds"].get<double>());
  }
  for (const Json& fault : report["faults"])
    fmt::print("FAIL  {:<36} {}: {}\n      ./assay kernel check {} --shape {} --seed {}\n", name,
               fault["shape"].get<std::string>(), fault["what"].get<std::string>(), name,
               fault["shape"].get<std::string>(), fault["seed"].get<std::uint64_t>());
  std::fflush(stdout);
}

Result<int> check(const Options& options) {
  ASSAY_TRY(selected, chosen_kernels(options));
  ASSAY_TRY(uses, uses_of(options, published_names()));
  Json all = Json::array();
  std::size_t wrong = 0, none = 0;
  for (const Kernel* kernel : selected) {
    const OpInfo& op = kernels::info(kernel->op);
    std::vector<Shape> shapes;
    if (options.shape.empty()) {
      for (const KernelUse& use : uses)
        if (use.op->op == kernel->op) shapes.push_back(use.shape);
    } else {
      const auto shape = kernels::parse_shape(op, options.shape);
      const std::string why = shape ? op.invalid(kernel->format, kernel->acts, *shape) : "another number of dimensions";
      if (!why.empty()) {
        if (selected.size() == 1)
          return fail({Failure::bad_input, "--shape", std::string(kernel->name), why, options.shape});
        ++none;
        continue;
      }
      shapes.push_back(*shape);
    }
    Json found = checked_apart(*kernel, shapes, !options.shape.empty(), options);
    wrong += found["faults"].empty() ? 0 : 1;
    if (!options.json) print_check(found);
    all.push_back(std::move(found));
  }
  std::size_t elsewhere = 0;
  ASSAY_TRY(meant, select_kernels(options.names, true));
  for (const Kernel* kernel : meant) elsewhere += kernels::runnable(*kernel) ? 0 : 1;
  if (options.json)
    fmt::print(
        "{}\n",
        Json{{"machine", machine_facts().fingerprint}, {"kernels", all}, {"wrong", wrong}, {"not_run_here", elsewhere}}
            .dump(1));
  else
    fmt::print("kernels: {} right, {} wrong{}{}\n", all.size() - wrong, wrong,
               elsewhere == 0 ? "" : fmt::format("; {} need instructions that this machine lacks", elsewhere),
               none == 0 ? "" : fmt::format("; {} do not take this shape", none));
  return wrong > 0 ? 1 : all.empty() ? 3 : 0;
}

// bench

/// The uses of an op that cost most in their pass, as the roofs stand to each other on common machines (40 bytes'
/// time are worth 1000 FLOPs).
std::vector<Shape> costly_shapes(const OpInfo& op, const Kernel& kernel, const std::vector<KernelUse>& uses, int most) {
  std::vector<std::pair<double, Shape>> costs;
  for (const KernelUse& use : uses) {
    if (use.op != &op || !op.invalid(kernel.format, kernel.acts, use.shape).empty()) continue;
    const kernels::Cost cost = op.cost(kernel.format, kernel.acts, use.shape);
    costs.emplace_back(use.calls * std::max(cost.bytes, cost.flops * 0.04), use.shape);
  }
  std::stable_sort(costs.begin(), costs.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Shape> shapes;
  // Timed again and again in place, an op would feed on its own output, until that is subnormal.
  const auto in_place = std::find(op.dims.begin(), op.dims.end(), "in_place");
  for (auto& [cost, shape] : costs) {
    if (in_place != op.dims.end()) shape[std::size_t(in_place - op.dims.begin())] = 0;
    if (int(shapes.size()) < most && std::find(shapes.begin(), shapes.end(), shape) == shapes.end())
      shapes.push_back(shape);
  }
  return shapes;
}

/// Kernels of one op, format and mode that take turns; with portable and Eigen as yardsticks.
std::vector<std::vector<const Kernel*>> groups_of(const std::vector<const Kernel*>& selected, bool alone) {
  std::vector<std::vector<const Kernel*>> groups;
  const auto same = [](const Kernel& a, const Kernel& b) {
    return a.op == b.op && a.format == b.format && a.acts == b.acts;
  };
  for (const Kernel* kernel : selected) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return same(*g[0], *kernel); });
    if (group == groups.end()) group = groups.emplace(group);
    group->push_back(kernel);
  }
  if (alone) return groups;
  for (auto& group : groups)
    for (const Kernel& kernel : kernels::kernels())
      if ((kernel.isa == Isa::portable || kernel.isa == Isa::eigen) && same(*group[0], kernel) &&
          kernels::runnable(kernel) && std::find(group.begin(), group.end(), &kernel) == group.end())
        group.push_back(&kernel);
  return groups;
}

Result<BenchRun> bench_run(const Options& options, const std::string& command) {
  BenchRun run{.version = version(),
               .command = command,
               .model = {},
               .machine = machine_facts(),
               .roofs = {},
               .results = {},
               .facts = {}};
  for (const std::string& model : options.models) run.model += (run.model.empty() ? "" : " ") + model;
  ASSAY_TRY(selected, chosen_kernels(options));
  if (options.taken)
    std::erase_if(selected, [](const Kernel* kernel) {
      return kernel != kernels::best_kernel(kernel->op, kernel->format, kernel->acts);
    });
  ASSAY_TRY(uses, uses_of(options, {"e2b"}));
  ASSAY_TRY(others, uses_of(options, published_names()));  // for ops that E2B has no use for: experts
  const KernelBenchOptions how{.threads = threads_of(options),
                               .repetitions = options.repetitions,
                               .seconds = options.seconds,
                               .cold = true,
                               .warm = !options.no_warm};
  const auto groups = groups_of(selected, options.alone);
  const Progress progress("kernels");
  std::size_t done = 0;
  for (const auto& group : groups) {
    progress.show(done++, groups.size());
    const OpInfo& op = kernels::info(group[0]->op);
    std::vector<Shape> shapes = costly_shapes(op, *group[0], uses, options.top);
    if (shapes.empty()) shapes = costly_shapes(op, *group[0], others, options.top);
    if (!options.shape.empty()) {
      const auto shape = kernels::parse_shape(op, options.shape);
      if (!shape)
        return fail({Failure::bad_input, "--shape", std::string(op.name), "as many numbers as it has dimensions",
                     options.shape});
      shapes = {*shape};
    }
    for (const Shape& shape : shapes) ASSAY_CHECK(bench_kernels({.kernels = group, .shape = shape}, how, run));
  }
  progress.clear();
  return run;
}

Result<int> bench(const Options& options, const std::string& command) {
  ASSAY_TRY(run, bench_run(options, command));
  if (!options.svg.empty())
    ASSAY_CHECK(write_file(options.svg, bars_svg("Share of the roof, by kernel", bars_of(run))));
  if (options.json)
    fmt::print("{}", to_json(run));
  else
    fmt::print("{}", bench_report(run));
  bool right = true;
  for (const BenchResult& result : run.results) right = right && result.right.value_or(true);
  if (!right) fmt::print(stderr, "assay: a kernel that was timed computed something else than its spec says\n");
  return !right ? 1 : run.results.empty() ? 3 : 0;
}

// watch

/// What a child says of a kernel that was just built.
struct Tried {
  Json check;
  std::optional<BenchRun> bench;
  std::string crash;
};

Tried try_out(const Kernel& fresh, const std::optional<Kernel>& before, const Shape& shape,
              const std::vector<Shape>& real, const Options& options) {
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
  Watcher(const Kernel& kernel, const Shape& shape, std::vector<Shape> real, Workshop workshop, const Options& options)
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
  const Options& options_;
  std::optional<Kernel> before_;
};

/// The one kernel that is meant: of those that run here the one that dispatch takes.
Result<const Kernel*> one_kernel(const Options& options) {
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

Result<int> watch(const Options& options) {
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

std::string command_line(const char* sub, const Options& options) {
  std::string text = std::string("assay kernel ") + sub;
  for (const std::string& name : options.names) text += " " + name;
  if (options.taken) text += " --taken";
  if (!options.shape.empty()) text += " --shape " + options.shape;
  if (options.threads > 0) text += " --threads " + std::to_string(options.threads);
  return text;
}

void add_common(CLI::App* verb, Options& options, bool required) {
  auto* names =
      verb->add_option("OP", options.names,
                       "An op (gemv), with a format (gemv_q4_0), with a mode of activations (gemv_q4_0_int8), "
                       "or a kernel's full name; several");
  if (required) names->required();
  verb->add_option("--shape", options.shape,
                   "Only this shape: 12288x1536; `kernel list --json` and failures show them");
  verb->add_option("--model", options.models,
                   "Whose shapes: a published configuration (e2b, e4b, 12b, 26b-a4b, 31b) or a directory with a "
                   "config.json; several")
      ->allow_extra_args(false);
  verb->add_option("--threads", options.threads, "Threads; 0 = as many as cores")->check(CLI::NonNegativeNumber);
  verb->add_option("--isa", options.isa, "Only kernels of this instruction set");
  verb->add_flag("--json", options.json, "As JSON");
}

}  // namespace

void add_kernel(CLI::App& app, int& exit) {
  auto* verb = app.add_subcommand("kernel", "Kernels: list them, check them, time them, or all that on every save.");
  verb->footer("Example: assay kernel check gemv_q4_0");
  verb->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  const auto finish = [&exit](const Result<int>& done) { exit = done ? *done : report(done.error()); };

  auto* list_verb =
      verb->add_subcommand("list", "Every op and format with its kernels: which dispatch takes here, where gaps are.");
  list_verb->add_flag("--json", options->json, "As JSON");
  list_verb->add_option("--isa", options->isa, "What dispatch would take if forced to this instruction set");
  list_verb->footer("Example: assay kernel list --isa avx2");
  list_verb->callback([options, &exit] { exit = list(*options); });

  auto* check_verb = verb->add_subcommand(
      "check", "Holds kernels against their specs at every shape that Gemma 4 has, and at shapes that break kernels.");
  add_common(check_verb, *options, false);
  check_verb->add_option("--seed", options->seed, "Of the operands")->capture_default_str();
  check_verb->add_option("--timeout", options->deadline, "Seconds for each kernel")->capture_default_str();
  check_verb->footer(
      "Shapes are those of the five published models' layer plans (huge ones with fewer rows), the op's awkward ones,\n"
      "and sizes 1 to 70 of each dimension. Operands end at a page that cannot be read; results must be the same bits\n"
      "for any number of threads.\n"
      "Exit codes: 0 all right, 1 a kernel is wrong or crashed, 2 a bad option, 3 nothing of it runs here.\n"
      "Example: assay kernel check gemv_q4_0 --threads 2");
  check_verb->callback([options, finish] { finish(check(*options)); });

  auto* bench_verb =
      verb->add_subcommand("bench", "Times kernels beside this machine's roofs, with cold and warm caches.");
  add_common(bench_verb, *options, false);
  bench_verb->add_option("--top", options->top, "How many of the model's shapes, those that cost most (model: e2b)")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  bench_verb->add_option("--reps", options->repetitions, "Repetitions, which take turns")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  bench_verb->add_option("--seconds", options->seconds, "Of each repetition, at least")->capture_default_str();
  bench_verb->add_flag("--taken", options->taken, "Only kernels that dispatch takes here");
  bench_verb->add_flag("--alone", options->alone, "Without portable and Eigen beside them");
  bench_verb->add_flag("--cold", options->no_warm, "Cold caches only");
  bench_verb->add_option("--svg", options->svg, "Write a chart of the shares of the roof to this file");
  bench_verb->footer(
      "Roofs (reading memory, products) are measured between the kernels' repetitions, on the same threads; the "
      "output\n"
      "is judged after each repetition.\n"
      "Exit codes: 0 timed, 1 a timed kernel was wrong, 2 a bad option, 3 nothing of it runs here.\n"
      "Example: assay kernel bench gemv_q4_0_int8 --shape 12288x1536");
  bench_verb->callback([options, finish] { finish(bench(*options, command_line("bench", *options))); });

  auto* watch_verb =
      verb->add_subcommand("watch", "Rebuilds, checks and times one kernel whenever its source is saved.");
  add_common(watch_verb, *options, true);
  watch_verb->add_option("--seed", options->seed, "Of the operands")->capture_default_str();
  watch_verb->add_option("--reps", options->repetitions, "Repetitions, which take turns")->capture_default_str();
  watch_verb->add_option("--seconds", options->seconds, "Of each repetition, at least")->capture_default_str();
  watch_verb->add_option("--timeout", options->deadline, "Seconds for each verdict")->capture_default_str();
  watch_verb->add_flag("--once", options->once, "One verdict on what is saved now, then end");
  watch_verb->footer(
      "The kernel's source is compiled by itself and loaded beside this program; the version before stays loaded, so\n"
      "that a change is measured side by side. Ctrl-C ends it.\n"
      "Exit codes: 0 ended, 1 with --once: it does not compile or is wrong, 2 a bad option.\n"
      "Example: assay kernel watch gemv_q4_0_int8");
  watch_verb->callback([options, finish] { finish(watch(*options)); });
}

}  // namespace assay
