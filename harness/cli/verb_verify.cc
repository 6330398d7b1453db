// `assay verify`: engines against goldens. Not here: judging, reports' forms; this file reads options and prints.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "golden/child.h"
#include "harness/cli/outside_engines.h"
#include "harness/cli/progress.h"
#include "harness/cli/run_reports.h"
#include "harness/cli/verbs.h"
#include "harness/engines/engines.h"
#include "harness/frontend/verify.h"
#include "harness/verify/about.h"
#include "harness/verify/baseline.h"
#include "harness/verify/journal.h"
#include "harness/verify/known.h"
#include "harness/verify/require.h"
#include "harness/verify/shard.h"
#include "harness/verify/verify.h"
#include "model/synthetic.h"

namespace assay {
namespace {

constexpr double kTimeout = 300, kSyntheticTimeout = 7200;  // seconds for a case

struct Options {
  Selection selection;
  EngineFlags flags;
  OutsideEngines outside;
  RunReports reports;
  std::string known, baseline, shard;
  std::vector<std::string> require;
  std::string synthetic;
  bool list = false, strict = false, resume = false, keep_synthetic = false;
  std::optional<int> children;
  std::optional<double> timeout;
};

/// Those that are selected; `outside` are among them. With none, the built-in ones.
Result<std::vector<Engine>> selected_engines(const Selection& selection, bool any, std::span<const Engine> outside) {
  std::vector<Engine> engines;
  if (!any) return engines;
  for (const std::string& name : selection.engines) {
    const auto found = std::ranges::find(outside, name, [](const Engine& engine) { return engine.can.name; });
    if (found != outside.end()) {
      engines.push_back(*found);
      continue;
    }
    ASSAY_TRY(engine, make_engine(name));
    engines.push_back(std::move(engine));
  }
  return engines.empty() ? built_in_engines() : engines;
}

/// What the run has to judge: the built-in list, all of it only if nothing was left out; and what --require names.
Demands demands_of(const Options& options) {
  Demands demands{.asked = options.require, .strict = options.strict};
  for (const Requirement& r : built_in_requirements())
    if (options.selection.has_engine(r.engine))
      demands.built_in.push_back(fmt::format("{}:{}:{}", r.engine, r.variant, r.path));
  demands.nothing_left_out = options.selection.everything() && std::getenv("ASSAY_DATA") == nullptr;
  return demands;
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
                            const Selection& selection, const std::optional<FrontEndGolden>& front_end,
                            const std::set<std::string>& units) {
  ASSAY_TRY(planned, plan_of(subjects, selection));
  std::string lines;
  for (const Engine* engine : engines)
    for (const Planned& one : planned)
      if (const std::string unit = unit_name(engine->can.name, one.golden, one.case_name); units.contains(unit))
        lines += fmt::format("{}/{}\n", unit, one.path);
  if (front_end)
    for (const std::string& name : front_end_cases(*front_end, selection))
      if (const std::string unit = unit_name(kFrontEnd, kFrontEnd, name); units.contains(unit))
        lines += fmt::format("{}/{}\n", unit, kProcess);
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
      ASSAY_TRY(run, read_run(options.baseline));
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

/// The journal of --resume, beside the report; tells what it found.
Result<std::optional<Journal>> open_journal(const Options& options, const Facts& about) {
  if (!options.resume) return std::nullopt;
  const std::string file = options.reports.json + ".journal";
  ASSAY_TRY(journal, Journal::open(file, about));
  if (!journal.word().empty()) fmt::print(stderr, "assay: {}: begun anew: {}\n", file, journal.word());
  if (journal.size() > 0) fmt::print(stderr, "assay: {}: {} cases are done\n", file, journal.size());
  return std::optional<Journal>(std::move(journal));
}

Result<int> verify_verb(Options options) {
  if (!options.synthetic.empty()) ASSAY_CHECK(select_synthetic(options));
  ASSAY_CHECK(spell_engines(options));
  ASSAY_TRY(outside, options.outside.make(false, options.timeout.value_or(kTimeout)));
  for (const Engine& engine : outside) options.selection.engines.push_back(engine.can.name);
  const Split split = split_front_end(options.selection);
  ASSAY_CHECK(split.rest.check_paths());
  for (const std::string& text : options.require) ASSAY_CHECK(parse_requirement(text));
  if (options.resume && options.reports.json.empty())
    return fail({Failure::bad_input, "--resume", "", "--json FILE, beside which the journal lies", "none"});
  ShardOf shard;
  if (!options.shard.empty()) {
    ASSAY_TRY(parsed, ShardOf::parse(options.shard));
    shard = parsed;
  }
  ASSAY_TRY(expectations, Expectations::read(options));
  ASSAY_TRY(made, selected_engines(split.rest, split.engines, outside));
  std::vector<const Engine*> engines;
  for (const Engine& engine : made) engines.push_back(&engine);
  const auto start = std::chrono::steady_clock::now();
  ASSAY_TRY(front_end_golden, open_front_end(split));
  std::vector<Subject> subjects;
  if (split.engines) {
    ASSAY_TRY(opened, open_goldens(data_folder(), split.rest, !options.list));
    subjects = std::move(opened);
  }
  std::vector<std::string> units = units_of(engines, subjects);
  if (front_end_golden)
    for (std::string& unit : front_end_units(*front_end_golden, split.rest)) units.push_back(std::move(unit));
  std::set<std::string> ours;
  for (std::size_t i = 0; i < units.size(); ++i)
    if (shard.takes(i)) ours.insert(units[i]);
  if (options.list) {
    const auto list = [&] { return listing(engines, subjects, split.rest, front_end_golden, ours); };
    ASSAY_TRY(lines, options.selection.model.empty() ? list() : in_child(options.selection.goldens.front(), {}, list));
    fmt::print("{}", lines);
    return lines.empty() ? 3 : 0;
  }

  const std::chrono::duration<double> timeout(options.timeout.value_or(kTimeout));
  Facts about;
  if (options.resume || !options.shard.empty()) {
    ASSAY_TRY(facts, facts_of(version(), engines, data_folder(), options.selection, timeout));
    about = std::move(facts);
  }
  ASSAY_TRY(journal, open_journal(options, about));
  const Progress progress("cases");
  VerifyOptions how{.selection = split.rest,
                    .children = options.children.value_or(0),
                    .timeout = timeout,
                    .progress = [&](std::size_t done, std::size_t all) { progress.show(done, all); },
                    .units = {.takes = [&](const std::string& unit) { return ours.contains(unit); }}};
  if (journal) {
    how.units.recall = [&](const std::string& unit) { return journal->find(unit); };
    how.units.keep = [&](const std::string& unit, std::span<const PathResult> done) {
      return journal->add(unit, done);
    };
  }
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
  const Demands demands = demands_of(options);
  ASSAY_TRY(unmet, find_unmet(run, demands, options.shard.empty()));
  run.unmet = std::move(unmet);
  if (!options.shard.empty())
    run.shard = {.index = shard.index, .of = shard.of, .about = about, .units = std::move(units), .demands = demands};
  ASSAY_TRY(code, options.reports.tell(run));
  if (journal) journal->remove();
  return code;
}

}  // namespace

void add_verify(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("verify", "Engines against goldens: every case, every path, every tap.");
  const auto options = std::make_shared<Options>();
  options->flags.add_to(verb);
  verb->add_option("--engine", options->selection.engines, "Only this engine (again for more)")
      ->allow_extra_args(false);
  options->outside.add_to(verb, true);
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
  options->reports.add_to(verb);
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
  verb->add_flag("--resume", options->resume,
                 "Keep a journal beside the file of --json, and go on from the one that a killed run left there");
  verb->add_option("--shard", options->shard,
                   "I/N: only every Nth case from the Ith on; assay merge puts the reports of all N together");
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
