// `assay bench`: an engine end to end; the work is harness/bench/. This file reads options and prints.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/files.h"
#include "harness/bench/bench.h"
#include "harness/cli/models.h"
#include "harness/cli/outside_engines.h"
#include "harness/cli/verbs.h"
#include "harness/machine/machine.h"
#include "model/quantise.h"
#include "model/synthetic.h"
#include "reports/bench_report.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

struct Options {
  EngineBenchOptions bench;
  std::string model, synthetic;
  EngineChoice choice;
  fs::path cache, json_file, svg;
  bool json = false, no_encoders = false;
};

Result<Checkpoint> open_model(const Options& options) {
  if (options.model.empty() == options.synthetic.empty())
    return fail({Failure::bad_input, "--model", "", "a checkpoint, or --synthetic NAME", "both or neither"});
  if (!options.synthetic.empty()) {
    ASSAY_TRY(name, SyntheticName::parse(options.synthetic));
    SyntheticOptions synthetic;
    synthetic.threads = options.bench.threads;
    synthetic.cache = options.cache;
    return synthetic_checkpoint(name, synthetic);
  }
  ASSAY_TRY(folder, find_model_shown(options.model, HubNeed::checkpoint));
  return Checkpoint::open(folder);
}

/// A setting of an engine as it is spelt: `int8` of acts in `cpu+acts=int8`.
std::string setting(const std::string& engine, const std::string& name, const std::string& otherwise) {
  const std::size_t at = engine.find("+" + name + "=");
  if (at == std::string::npos) return otherwise;
  const std::size_t first = at + name.size() + 2;
  return engine.substr(first, engine.find('+', first) - first);
}

double bytes_of_kv(const std::string& format) { return format == "fp32" ? 4 : format == "bf16" ? 2 : 34.0 / 32; }

/// All that decides what is measured, defaults too: they may change.
std::string command_line(const Options& options) {
  const auto list = [](const std::vector<int>& values) {
    std::string text;
    for (const int value : values) text += (text.empty() ? "" : ",") + std::to_string(value);
    return text;
  };
  std::string text = options.synthetic.empty() ? "assay bench --model " + shell_word(options.model)
                                               : "assay bench --synthetic " + shell_word(options.synthetic);
  if (!options.cache.empty()) text += " --cache " + shell_word(options.cache.string());
  text += fmt::format(" {} --threads {}", options.choice.spelt(), options.bench.threads);
  if (!options.bench.lengths.empty()) text += " --lengths " + list(options.bench.lengths);
  if (!options.bench.depths.empty()) text += " --depths " + list(options.bench.depths);
  text += fmt::format(" --decode {} --reps {} --warm-up {:g}", options.bench.decode, options.bench.repetitions,
                      options.bench.warm_up);
  return text + (options.no_encoders ? " --no-encoders" : "");
}

void print_text(const BenchRun& run) {
  fmt::print("{}\n{}", run.model, bench_report(run));
  constexpr double kMebi = 1 << 20;
  const auto fact = [&](const char* name) { return run.facts.contains(name) ? run.facts.at(name) : 0; };
  const std::string peak = run.facts.contains("peak_memory_bytes")
                               ? fmt::format("peak memory {:.0f} MiB, ", fact("peak_memory_bytes") / kMebi)
                               : "";  // of an engine in a process of its own
  fmt::print("opened in {:.2f} s; {}weights {:.0f} MiB{}\n", fact("load_seconds"), peak, fact("weights_bytes") / kMebi,
             fact("warm_up_settled") != 0 ? "" : "; the warm-up ended before times settled");
}

Result<int> bench_verb(Options options) {
  if (options.bench.threads == 0) options.bench.threads = machine_facts().cores;
  const std::string engine_name = options.choice.flags.spell(options.choice.engine);
  if (const std::string threads = setting(engine_name, "threads", ""); !threads.empty())
    return fail({Failure::bad_input, "--engine", "threads", "--threads, which the roofs take, too", threads});
  const std::string acts = setting(engine_name, "acts", "fp32"), kv = setting(engine_name, "kv", "fp32");
  options.bench.acts = kernels::parse_acts(acts).value_or(kernels::Acts::fp32);
  if (const std::string weights = setting(engine_name, "weights", ""); !weights.empty()) {
    ASSAY_TRY(dtype, weights_named(weights, "--weights"));
    options.bench.weights = dtype;
  }
  options.bench.kv_bytes = bytes_of_kv(kv);
  options.bench.encoders = !options.no_encoders;
  ASSAY_TRY(engine, options.choice.make());
  ASSAY_TRY(checkpoint, open_model(options));
  BenchRun run{.version = version(),
               .command = command_line(options),
               .model = {},
               .machine = machine_facts(),
               .roofs = {},
               .results = {},
               .facts = {}};
  run.model = fmt::format("{}, activations {}, K/V {}", options.synthetic.empty() ? options.model : options.synthetic,
                          acts, kv);
  const bool shown = ::isatty(STDERR_FILENO) == 1;
  if (shown) options.bench.progress = [](const std::string& doing) { fmt::print(stderr, "\r\x1b[K{}", doing); };
  const Result<void> done = bench_engine(engine, checkpoint, options.bench, run);
  if (shown) fmt::print(stderr, "\r\x1b[K");
  ASSAY_CHECK(done);
  for (BenchResult& result : run.results) result.rerun = run.command;  // samples take turns: none is measured alone
  if (!options.svg.empty())
    ASSAY_CHECK(write_file(options.svg, bars_svg("Share of the roof: " + run.model, bars_of(run))));
  if (!options.json_file.empty()) ASSAY_CHECK(write_file(options.json_file, to_json(run)));
  if (options.json)
    fmt::print("{}", to_json(run));
  else
    print_text(run);
  return run.results.empty() ? 3 : 0;
}

}  // namespace

void add_bench(CLI::App& app, int& exit) {
  auto* verb =
      app.add_subcommand("bench", "How fast an engine is, end to end, and how far from this machine's limits.");
  const auto options = std::make_shared<Options>();
  verb->add_option("--model", options->model, "A checkpoint directory, a GGUF file, or a hub id: org/name[@revision]");
  verb->add_option("--synthetic", options->synthetic,
                   "A published configuration with computed weights: e2b, e4b, 12b, 26b-a4b, 31b, with :bf16, :q8_0 or "
                   ":q4_0, and :text without towers");
  verb->add_option("--cache", options->cache, "A folder that keeps synthetic weights for the next time");
  options->choice.add_to(verb, "cpu", "threads");
  verb->add_option("--threads", options->bench.threads, "Threads; 0 = as many as cores")->check(CLI::NonNegativeNumber);
  verb->add_option("--lengths", options->bench.lengths, "Tokens of prompts, timed in an empty cache and at each depth")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--depths", options->bench.depths, "Tokens cached before decoding and before prompts, not timed")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--decode", options->bench.decode, "Tokens of a sample of decoding")->capture_default_str();
  verb->add_option("--reps", options->bench.repetitions, "Repetitions, which take turns")->capture_default_str();
  verb->add_option("--warm-up", options->bench.warm_up, "Seconds of warm-up, at most")->capture_default_str();
  verb->add_flag("--no-encoders", options->no_encoders, "Leave vision and audio out");
  verb->add_flag("--json", options->json, "As JSON, raw samples and all (reports/schema/bench.schema.json)");
  verb->add_option("--out", options->json_file, "Write that JSON to this file, too");
  verb->add_option("--svg", options->svg, "Write a chart of the shares of the roof to this file");
  verb->footer(
      "Measured: prompts of each length, in an empty cache and behind as many tokens as each depth above 0;\n"
      "decoding at each depth; opening the model up to its first token; an image, ten seconds of sound. Each sample\n"
      "goes back to its depth first, which is not timed.\n"
      "Medians are shown with their median absolute deviation. `of roof`: the time that reading every needed weight\n"
      "and cached K/V once would take at this machine's measured bandwidth, or the needed products at its measured\n"
      "peak, whichever is longer, as a share of the time it took. Both are measured before and after each sample,\n"
      "since machines that others use, too, change their pace; the line `roofs` is of the whole run. Rows that nobody\n"
      "asks for are not needed: of a prompt, logits are wanted of the last row.\n"
      "Exit codes: 0 measured, 2 it could not be, 3 there was nothing to measure.\n"
      "Example: assay bench --synthetic e2b:q4_0:text --lengths 128,512 --depths 0,2048");
  options->bench.threads = 0;
  verb->callback([options, &exit] {
    const Result<int> done = bench_verb(*options);
    exit = done ? *done : report(done.error());
  });
}

}  // namespace assay
