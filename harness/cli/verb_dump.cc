// `assay dump`: one engine on any checkpoint and inputs; the work is harness/dump/. This file reads options and prints.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "harness/cli/outside_engines.h"
#include "harness/cli/verbs.h"
#include "harness/dump/dump.h"
#include "model/tensor.h"

namespace assay {
namespace {

struct Options {
  DumpOptions dump;
  std::string path = "prefill";
  EngineChoice engine;
  int chunk = 16;
  bool json = false;
};

Result<void> dump_verb(Options& options) {
  if (options.dump.model.empty() && options.dump.synthetic.empty() && options.dump.draft.empty())
    return fail({Failure::bad_input, "--model", "", "a checkpoint directory or a GGUF file, or --synthetic", "none"});
  ASSAY_TRY(engine, options.engine.make());
  ASSAY_TRY(path, Path::parse(options.path));
  if (path.kind == Path::chunked && path.chunk == 0) path.chunk = options.chunk;
  options.dump.path = path;
  ASSAY_TRY(dumped, dump(engine, options.dump));
  if (options.json) {
    // Tap names and shapes need no escapes.
    std::string datasets;
    for (const auto& [name, shape] : dumped.datasets)
      datasets += fmt::format("{}\n  \"{}\": {}", datasets.empty() ? "" : ",", name, shape_text(shape));
    fmt::print("{{\"batch\": {}, \"tokens\": {}, \"path\": \"{}\", \"datasets\": {{{}\n}}}}\n", dumped.batch,
               dumped.tokens, path.name(), datasets);
  } else {
    for (const auto& [name, shape] : dumped.datasets) fmt::print("{} {}\n", name, shape_text(shape));
    if (!dumped.note.empty()) fmt::print("{}\n", dumped.note);
  }
  return {};
}

}  // namespace

void add_dump(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("dump", "One engine on any checkpoint and inputs: the taps you name, in a file.");
  const auto options = std::make_shared<Options>();
  DumpOptions& dump = options->dump;
  verb->add_option("--model", dump.model, "A checkpoint directory (config.json and *.safetensors) or a GGUF file");
  verb->add_option(
          "--synthetic", dump.synthetic,
          "Instead of --model: a published configuration with computed weights, NAME[:FORMAT][:text]: e2b, e4b, "
          "12b, 26b-a4b or 31b; f32, bf16, q8_0 or q4_0; :text leaves the towers out")
      ->excludes("--model");
  verb->add_flag("--keep-synthetic", dump.keep_synthetic,
                 "Keep it in $XDG_CACHE_HOME/assay, so that the next start maps it")
      ->needs("--synthetic");
  verb->add_option("--draft", dump.draft, "A drafter's checkpoint directory; --model is then its target")
      ->excludes("--synthetic");
  verb->add_option("--draft-steps", dump.draft_steps, "Tokens that the drafter proposes after the prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option(
          "--inputs", dump.inputs,
          "FILE.h5:/GROUP with transformers' forward arguments by name and shape (input_ids [B,T], attention_mask, "
          "position_ids, mm_token_type_ids...), or FILE.safetensors:/PREFIX")
      ->required();
  options->engine.add_to(verb, "reference");
  verb->add_option("--path", options->path, "prefill, nocache, chunked, chunked:N, decode or batched")
      ->capture_default_str();
  verb->add_option("--chunk", options->chunk, "Tokens a piece on the path chunked")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  verb->add_option("--taps", dump.taps,
                   "Names and patterns, comma-separated; * stands for anything but a dot, at the end for all")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  verb->add_option("--generate", dump.generate, "Greedy tokens after the prompt, with no stop token")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 20));
  verb->add_option("--out", dump.out, "The file to write: HDF5, or safetensors if it is called so")->required();
  verb->add_flag("--json", options->json, "Print what was written as JSON");
  verb->footer(
      "OUT holds taps/NAME, float32 [B,T,...] (rows where the mask is 0 are unspecified), and with --generate N\n"
      "outputs/generated_ids, int64 [B,N].\n"
      "With --draft: the drafter's taps, [B,steps,...], outputs/next_ids [B] (the target's choice, from which the "
      "round\n"
      "starts) and outputs/drafted_ids [B,steps]; --generate then decodes speculatively. Where INPUTS holds\n"
      "inputs_embeds, shared_kv_states/full_attention/key..., position_ids and attention_mask, the drafter's forward\n"
      "alone, without --model.\n"
      "Example: assay dump --model DIR --inputs in.h5:/short --taps 'text.embed,text.layer.*.out' --generate 24 --out "
      "out.h5");
  verb->callback([options, &exit] {
    const Result<void> done = dump_verb(*options);
    exit = done ? 0 : report(done.error());
  });
}

}  // namespace assay
