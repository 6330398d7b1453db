// `assay locate`: where an engine first goes wrong, and what looks the same. Not here: finding it (harness/locate).
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/files.h"
#include "harness/cli/outside_engines.h"
#include "harness/cli/progress.h"
#include "harness/cli/verbs.h"
#include "harness/locate/front_end.h"
#include "harness/locate/locate.h"
#include "reports/json.h"
#include "reports/location.h"
#include "reports/terminal.h"

namespace assay {
namespace {

struct Options {
  Selection selection;
  EngineChoice engine;
  std::string case_name, op, json;
  bool no_hypotheses = false;
  int children = 0;
  double timeout = 300;  // seconds for a case, a step or a suspect
};

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

/// An engine of others' is opened in several children: none may go on with the process that was asked for its name.
Result<Engine> chosen(const EngineChoice& choice, double timeout) {
  if (!choice.outside.any() || choice.flags.any()) return choice.make();
  ASSAY_TRY(engines, choice.outside.make(false, timeout));
  return std::move(engines.front());
}

/// Exit codes as locate_verb.
Result<int> show(const std::string& engine, const Options& options, Result<Located> found) {
  if (!found) return fail(std::move(found).error());
  if (!found->location) {
    fmt::print("{}: nothing is wrong on {} path{}, {} unsupported\n", engine, found->passed,
               found->passed == 1 ? "" : "s", found->unsupported);
    return found->passed > 0 ? 0 : 3;
  }
  if (!options.json.empty()) ASSAY_CHECK(write_file(options.json, to_json(*found->location)));
  const std::string text = location_text(*found->location, wants_color());
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 1;
}

/// A case that failed is located: exit code 1. Nothing failed: 0; nothing was judged: 3.
Result<int> locate_verb(Options options) {
  if (!options.case_name.empty()) options.selection.filter = "/" + options.case_name + "/";
  ASSAY_CHECK(options.selection.check_paths());
  const std::string spelt = options.engine.name();
  const std::chrono::duration<double> timeout(options.timeout);
  if (!options.engine.outside.any() && spelt.substr(0, spelt.find('+')) == kFrontEnd) {
    ASSAY_TRY(golden, FrontEndGolden::open(data_folder()));
    return show(spelt, options,
                locate_front_end(golden, spelt,
                                 {.selection = options.selection,
                                  .children = options.children,
                                  .timeout = timeout,
                                  .hypotheses = !options.no_hypotheses}));
  }
  ASSAY_TRY(engine, chosen(options.engine, options.timeout));
  ASSAY_TRY(subjects, open_goldens(data_folder(), options.selection));
  if (!options.op.empty()) {
    ASSAY_TRY(result, locate_op(engine, subjects, options.selection, options.op, timeout));
    const Run run{.version = version(), .machine = this_machine(), .results = {result}, .unmet = {}};
    if (!options.json.empty()) ASSAY_CHECK(write_file(options.json, to_json(run)));
    fmt::print("{}", terminal_report(run, {.color = wants_color(), .verbose = true}));
    return exit_code(run);
  }
  const Progress progress("faults tried");
  auto found = locate(engine, subjects,
                      {.selection = options.selection,
                       .children = options.children,
                       .timeout = timeout,
                       .hypotheses = !options.no_hypotheses,
                       .progress = [&](std::size_t done, std::size_t all) { progress.show(done, all); }});
  progress.clear();
  return show(spelt, options, std::move(found));
}

}  // namespace

void add_locate(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand(
      "locate",
      "The first wrong tap of a case that fails, the op it is born in, and the known bugs that look like it.");
  const auto options = std::make_shared<Options>();
  options->engine.add_to(verb, "reference");
  CLI::Option* golden = verb->add_option("--golden", options->selection.goldens, "Only this golden (again for more)")
                            ->allow_extra_args(false);
  verb->add_option("--model", options->selection.model,
                   "Checkpoint directory of a golden of your own; --golden is then its file")
      ->needs(golden);
  CLI::Option* filter = verb->add_option("--filter", options->selection.filter,
                                         "Only what contains this, or matches it as a glob, in GOLDEN/CASE/PATH/TAP");
  verb->add_option("--case", options->case_name, "Only this case")->excludes(filter);
  verb->add_option("--path", options->selection.paths, "Only this path, as verify has them (again for more)")
      ->allow_extra_args(false);
  verb->add_option("--op", options->op,
                   "Instead: run the one op that makes this tap, on transformers' inputs, and print its errors");
  verb->add_flag("--no-hypotheses", options->no_hypotheses, "Do not try the catalogue's faults");
  verb->add_option("--json", options->json, "Write the location as JSON to this file");
  verb->add_option("-j,--jobs", options->children, "Processes at once; 0: as many as cores")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--timeout", options->timeout, "Seconds for one case, one op or one fault")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0));
  verb->footer(
      "The first selected case and path that fails is located.\n"
      "Example: assay locate --engine reference --fault rope-global-short --golden e2b-blocks\n"
      "Exit code: 0 nothing is wrong, 1 something was located, 2 could not be run, 3 nothing comparable was judged.");
  verb->callback([options, &exit] {
    const Result<int> code = locate_verb(*options);
    exit = code ? *code : report(code.error());
  });
}

}  // namespace assay
