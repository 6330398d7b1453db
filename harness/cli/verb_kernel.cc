// `assay kernel`: the options of its verbs. What they do: kernel_list.cc, kernel_check.cc, kernel_bench.cc,
// kernel_watch.cc; the work is harness/kernel/.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "harness/cli/kernel_verbs.h"
#include "harness/cli/outside_engines.h"
#include "harness/cli/verbs.h"

namespace assay {
namespace {

/// All that decides what is timed, defaults too: they may change.
std::string bench_command(const KernelOptions& options) {
  std::string text = "assay kernel bench";
  for (const std::string& name : options.names) text += " " + name;
  if (options.taken) text += " --taken";
  if (options.alone) text += " --alone";
  if (options.no_warm) text += " --cold";
  if (!options.shape.empty()) text += " --shape " + options.shape;
  for (const std::string& model : options.models) text += " --model " + shell_word(model);
  if (!options.isa.empty()) text += " --isa " + options.isa;
  return text + fmt::format(" --threads {} --top {} --reps {} --seconds {:g}", threads_of(options), options.top,
                            options.repetitions, options.seconds);
}

CLI::Option* add_names(CLI::App* verb, KernelOptions& options) {
  return verb->add_option("OP", options.names,
                          "An op (gemv), with a format (gemv_q4_0), with a mode of activations (gemv_q4_0_int8), "
                          "or a kernel's full name; several");
}

void add_models(CLI::App* verb, KernelOptions& options) {
  verb->add_option("--model", options.models,
                   "Whose shapes: a published configuration (e2b, e4b, 12b, 26b-a4b, 31b) or a directory with a "
                   "config.json; several")
      ->allow_extra_args(false);
}

void add_common(CLI::App* verb, KernelOptions& options, bool required) {
  auto* names = add_names(verb, options);
  if (required) names->required();
  verb->add_option("--shape", options.shape,
                   "Only this shape: 12288x1536; `kernel list OP --shapes` and failures show them");
  add_models(verb, options);
  verb->add_option("--threads", options.threads, "Threads; 0 = as many as cores")->check(CLI::NonNegativeNumber);
  verb->add_option("--isa", options.isa, "Only kernels of this instruction set");
  verb->add_flag("--json", options.json, "As JSON");
}

}  // namespace

void add_kernel(CLI::App& app, int& exit) {
  auto* verb = app.add_subcommand("kernel", "Kernels: list them, check them, time them, or all that on every save.");
  verb->footer("Example: assay kernel check gemv_q4_0");
  verb->require_subcommand(1);
  const auto options = std::make_shared<KernelOptions>();
  const auto finish = [&exit](const Result<int>& done) { exit = done ? *done : report(done.error()); };

  auto* list_verb =
      verb->add_subcommand("list", "Every op and format with its kernels: which dispatch takes here, where gaps are.");
  add_names(list_verb, *options);
  list_verb->add_flag("--shapes", options->shapes,
                      "Instead, the shapes that models call each op at, how often in one pass, and what for");
  add_models(list_verb, *options);
  list_verb->add_flag("--json", options->json, "As JSON, with the shapes of each op and format");
  list_verb->add_option("--isa", options->isa, "What dispatch would take if forced to this instruction set");
  list_verb->footer("Example: assay kernel list gemv --shapes --model e2b");
  list_verb->callback([options, finish] { finish(list_of_kernels(*options)); });

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
  check_verb->callback([options, finish] { finish(checked_kernels(*options)); });

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
  bench_verb->callback([options, finish] { finish(timed_kernels(*options, bench_command(*options))); });

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
  watch_verb->callback([options, finish] { finish(watched_kernel(*options)); });
}

}  // namespace assay
