// `assay verify`: engines against goldens. Not here: judging, reports' forms; this file reads options and prints.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/files.h"
#include "golden/child.h"
#include "harness/cli/engine_flags.h"
#include "harness/cli/progress.h"
#include "harness/cli/verbs.h"
#include "harness/engines/engines.h"
#include "harness/frontend/verify.h"
#include "harness/verify/baseline.h"
#include "harness/verify/known.h"
#include "harness/verify/require.h"
#include "harness/verify/verify.h"
#include "model/synthetic.h"
#include "reports/json.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/terminal.h"

namespace assay {
namespace {

constexpr std::size_t kLargestRun = std::size_t{1} << 30;
constexpr double kTimeout = 300, kSyntheticTimeout = 7200;  // seconds for a case

struct Options {
  Selection selection;
  EngineFlags flags;
  std::string json, junit, markdown, known, baseline;
  std::vector<std::string> require;
  std::string synthetic;
  bool list = false, strict = false, verbose = false, keep_synthetic = false;
  std::optional<int> children;
  std::optional<double> timeout;
};

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

Result<std::vector<Engine>> selected_engines(const Selection& selection, bool any) {
  std::vector<Engine> engines;
  if (!any) return engines;
  for (const std::string& name : selection.engines) {
    ASSAY_TRY(engine, make_engine(name));
    engines.push_back(std::move(engine));
  }
  return engines.empty() ? built_in_engines() : engines;
}

/// What the run had to judge: the built-in list, all of it only if nothing was left out; and what --require names.
Result<std::vector<std::string>> find_unmet(const Run& run, const Options& options) {
  std::vector<Requirement> ours = built_in_requirements();
  std::erase_if(ours, [&](const Requirement& r) { return !options.selection.has_engine(r.engine); });
  const bool own_goldens = std::getenv("ASSAY_DATA") == nullptr;
  std::vector<std::string> lines = unmet(run, ours, options.selection.everything() && own_goldens);
  std::vector<Requirement> asked;
  for (const std::string& text : options.require) {
    ASSAY_TRY(requirement, parse_requirement(text));
    asked.push_back(std::move(requirement));
  }
  const auto add = [&](const std::vector<std::string>& more) { lines.insert(lines.end(), more.begin(), more.end()); };
  add(unmet(run, asked, true));
  if (options.strict) add(not_strict(run));
  return lines;
}

Result<void> write_reports(const Run& run, const Options& options) {
  if (!options.json.empty()) ASSAY_CHECK(write_file(options.json, to_json(run)));
  if (!options.junit.empty()) ASSAY_CHECK(write_file(options.junit, to_junit(run)));
  if (!options.markdown.empty()) ASSAY_CHECK(write_file(options.markdown, to_markdown(run)));
  return {};
}

/// The front end's golden where it is asked for and there is one, or has to be. Errors: those of opening it.
Result<std::optional<FrontEndGolden>> open_front_end(const Split& split) {
  const bool named = split.front_end && !split.engines;
  if (!split.front_end || (!named && !FrontEndGolden::exists(data_folder()))) return std::nullopt;
  ASSAY_TRY(golden, FrontEndGolden::open(data_folder()));
  return golden;
}

/// What would run, a line each.
Result<std::string> listing(std::span<const Engine* const> engines, const std::vector<Subject>& subjects,
                            const Selection& selection, const std::optional<FrontEndGolden>& front_end) {
  ASSAY_TRY(planned, plan_of(subjects, selection));
  std::string lines;
  for (const Engine* engine : engines)
    for (const Planned& one : planned)
      lines += fmt::format("{} {}/{}/{}\n", engine->can.name, one.golden, one.case_name, one.path);
  if (front_end)
    for (const std::string& name : front_end_cases(*front_end, selection))
      lines += fmt::format("{0} {0}/{1}/{2}\n", kFrontEnd, name, kProcess);
  return lines;
}

/// --synthetic as the goldens that it names. One path, where none is asked for: an oracle takes a minute for each call.
Result<void> select_synthetic(Options& options) {
  ASSAY_TRY(entries, list_goldens(data_folder()));
  ASSAY_TRY(goldens, synthetic_goldens(entries, options.synthetic));
  options.selection.goldens = std::move(goldens);
  if (options.selection.paths.empty()) options.selection.paths = {Path{Path::prefill, 0}.name()};
  if (!options.children) options.children = 1;  // engines one after another: each may bring a copy of the weights
  if (!options.timeout) options.timeout = kSyntheticTimeout;
  if (options.keep_synthetic) options.selection.cache = default_cache();
  return {};
}

/// The engines as they are spelt in results. Errors: bad_input (settings of no engine in particular).
Result<void> spell_engines(Options& options) {
  if (!options.flags.any()) return {};
  if (options.selection.engines.empty())
    return fail({Failure::bad_input, "--engine", "", "the engine whose settings are given", "none"});
  for (std::string& engine : options.selection.engines) engine = options.flags.spell(engine);
  return {};
}

std::chrono::sys_days today() { return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now()); }

/// --known and --baseline, read before anything runs.
struct Expectations {
  std::vector<KnownFailure> known;
  std::optional<Run> baseline;

  static Result<Expectations> read(const Options& options) {
    Expectations out;
    if (!options.known.empty()) {
      ASSAY_TRY(known, read_known_failures(options.known));
      out.known = std::move(known);
    }
    if (!options.baseline.empty()) {
      ASSAY_TRY(text, read_file(options.baseline, kLargestRun));
      ASSAY_TRY(run, run_from_json(text, options.baseline));
      out.baseline = std::move(run);
    }
    return out;
  }
  void apply(Run& run) const {
    apply_known(run.results, known, today());
    run.expired = expired_lines(known, today());
    if (baseline) apply_baseline(run.results, *baseline);
  }
};

Result<int> verify_verb(Options options) {
  if (!options.synthetic.empty()) ASSAY_CHECK(select_synthetic(options));
  ASSAY_CHECK(spell_engines(options));
  const Split split = split_front_end(options.selection);
  ASSAY_CHECK(split.rest.check_paths());
  for (const std::string& text : options.require) ASSAY_CHECK(parse_requirement(text));
  ASSAY_TRY(expectations, Expectations::read(options));
  ASSAY_TRY(made, selected_engines(split.rest, split.engines));
  std::vector<const Engine*> engines;
  for (const Engine& engine : made) engines.push_back(&engine);
  const auto start = std::chrono::steady_clock::now();
  ASSAY_TRY(front_end_golden, open_front_end(split));
  std::vector<Subject> subjects;
  if (split.engines) {
    ASSAY_TRY(opened, open_goldens(data_folder(), split.rest, !options.list));
    subjects = std::move(opened);
  }
  if (options.list) {
    const auto list = [&] { return listing(engines, subjects, split.rest, front_end_golden); };
    ASSAY_TRY(lines, options.selection.model.empty() ? list() : in_child(options.selection.goldens.front(), {}, list));
    fmt::print("{}", lines);
    return lines.empty() ? 3 : 0;
  }

  const Progress progress("cases");
  VerifyOptions how{.selection = split.rest,
                    .children = options.children.value_or(0),
                    .timeout = std::chrono::duration<double>(options.timeout.value_or(kTimeout)),
                    .progress = [&](std::size_t done, std::size_t all) { progress.show(done, all); }};
  auto results = verify(engines, subjects, how);
  if (results && front_end_golden) {
    auto more = verify_front_end(*front_end_golden, front_end(), how);
    if (!more) return fail(std::move(more).error());
    std::move(more->begin(), more->end(), std::back_inserter(*results));
  }
  progress.clear();
  if (!results) return fail(std::move(results).error());

  Run run{.version = version(), .machine = this_machine(), .results = std::move(*results), .unmet = {}};
  expectations.apply(run);
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ASSAY_TRY(unmet, find_unmet(run, options));
  run.unmet = std::move(unmet);
  ASSAY_CHECK(write_reports(run, options));
  const std::string text = terminal_report(run, {.color = wants_color(), .verbose = options.verbose});
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_code(run);
}

}  // namespace

void add_verify(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("verify", "Engines against goldens: every case, every path, every tap.");
  const auto options = std::make_shared<Options>();
  options->flags.add_to(verb);
  verb->add_option("--engine", options->selection.engines, "Only this engine (again for more)")
      ->allow_extra_args(false);
  CLI::Option* golden = verb->add_option("--golden", options->selection.goldens, "Only this golden (again for more)")
                            ->allow_extra_args(false);
  verb->add_option("--model", options->selection.model,
                   "Checkpoint directory of a golden of your own; --golden is then its file")
      ->needs(golden);
  verb->add_option("--synthetic", options->synthetic,
                   "Instead of the goldens of small models: one at its published size with computed weights, e2b or "
                   "e2b:q4_0; on the path prefill alone unless --path asks for others. It takes gigabytes and minutes")
      ->excludes(golden);
  verb->add_flag("--keep-synthetic", options->keep_synthetic,
                 "Keep it in $XDG_CACHE_HOME/assay, so that the next start maps it")
      ->needs("--synthetic");
  verb->add_option("--filter", options->selection.filter,
                   "Only what contains this, or matches it as a glob, in GOLDEN/CASE/PATH/TAP");
  verb->add_option("--path", options->selection.paths,
                   "Only this path: prefill, nocache, chunked, chunked:N, decode, batched; process, the front end's "
                   "(again for more)")
      ->allow_extra_args(false);
  verb->add_flag("--list", options->list, "Print what would run, and run nothing");
  verb->add_option("--json", options->json, "Write the run as JSON to this file");
  verb->add_option("--junit", options->junit, "Write the run as JUnit XML to this file");
  verb->add_option("--markdown", options->markdown, "Write the run as Markdown to this file");
  verb->add_flag("--strict", options->strict, "Count what is unsupported, and what passes unexpectedly, as a failure");
  verb->add_option(
      "--known", options->known,
      "Known failures, TOML or JSON: what fails as they say does not count; what passes all the same is told "
      "(and fails under --strict), and what has expired counts again");
  verb->add_option(
      "--baseline", options->baseline,
      "A run that --json wrote: only what passed there and does not now fails, and what it lacks is judged "
      "as ever");
  verb->add_option("--require", options->require,
                   "ENGINE:VARIANT:PATH must be judged, e.g. reference:E2B:chunked (again for more)")
      ->allow_extra_args(false);
  verb->add_flag("-v,--verbose", options->verbose, "A line for every path of every case");
  verb->add_option("-j,--jobs", options->children, "Processes at once; 0: as many as cores")
      ->check(CLI::Range(0, 1024));
  verb->add_option("--timeout", options->timeout, "Seconds for one case on one engine; 300, with --synthetic 7200")
      ->check(CLI::Range(0.001, 86400.0));
  verb->footer("Example: assay verify --engine reference --golden e2b-tails --path decode -v");
  verb->callback([options, &exit] {
    const Result<int> code = verify_verb(*options);
    exit = code ? *code : report(code.error());
  });
}

}  // namespace assay
