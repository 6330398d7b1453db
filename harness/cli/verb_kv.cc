// `assay kv`: what the KV cache costs; the sums are harness/kv/. This file reads options and prints.
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "harness/cli/models.h"
#include "harness/cli/verbs.h"
#include "harness/kv/kv.h"
#include "model/config.h"
#include "model/gguf/gguf_model.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string model, dtype = "all";
  std::int64_t context = 0, batch = 1;
  bool json = false, layers = false;
};

struct Way {
  const char *name, *what;
  KvBytes KvSizes::*bytes;
};
constexpr std::array<Way, 4> kWays = {{
    {"transformers", "between two calls of transformers, whose sliding layers keep window - 1 tokens", &KvSizes::held},
    {"ring", "in a ring of window tokens", &KvSizes::ring},
    {"least", "that ring, and one tensor where V is K: K is V times k_norm's weight, rotated", &KvSizes::least},
    {"flat", "had each layer its own K and V of all tokens", &KvSizes::flat},
}};

std::string size_text(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = double(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

std::string kind_text(int window) { return window == 0 ? "full" : fmt::format("sliding {}", window); }

std::vector<std::size_t> chosen_formats(const std::string& dtype) {
  std::vector<std::size_t> chosen;
  for (std::size_t f = 0; f < kKvFormats.size(); ++f)
    if (dtype == "all" || dtype == kKvFormats[f].name) chosen.push_back(f);
  return chosen;
}

Json bytes_json(const KvSizes& sizes, const std::vector<std::size_t>& formats) {
  Json out;
  for (const Way& way : kWays)
    for (const std::size_t f : formats) out[way.name][std::string(kKvFormats[f].name)] = (sizes.*way.bytes)[f];
  return out;
}

template <class Row>
Json row_json(const Row& row) {
  return {{"attention", row.window == 0 ? "full_attention" : "sliding_attention"},
          {"window", row.window},
          {"kv_heads", row.kv_heads},
          {"head_dim", row.head_dim},
          {"value_is_key", row.value_is_key},
          {"tokens", {{"transformers", row.held_tokens}, {"ring", row.ring_tokens}}}};
}

void print_json(const Options& options, const KvCost& cost, const std::vector<std::size_t>& formats) {
  Json out{{"model", options.model}, {"context", options.context}, {"batch", options.batch}};
  for (const KvKind& kind : cost.kinds) {
    Json row = row_json(kind);
    row["layers"] = kind.owners;
    row["shared_layers"] = kind.sharers;
    row["bytes"] = bytes_json(kind.bytes, formats);
    out["kinds"].push_back(std::move(row));
  }
  for (std::size_t i = 0; i < cost.layers.size(); ++i) {
    const KvLayer& layer = cost.layers[i];
    Json row = row_json(layer);
    row["layer"] = i;
    if (layer.source.kind == KvSource::earlier) row["shares"] = layer.source.layer;
    if (layer.source.kind == KvSource::target) row["shares"] = "target";
    row["bytes"] = bytes_json(layer.bytes, formats);
    out["layers"].push_back(std::move(row));
  }
  out["total"] = bytes_json(cost.total, formats);
  fmt::print("{}\n", out.dump(2));
}

void print_sizes(const std::string& head, const KvBytes& bytes, const std::vector<std::size_t>& formats) {
  fmt::print("{:<58}", head);
  for (const std::size_t f : formats) fmt::print("{:>14}", size_text(bytes[f]));
  fmt::print("\n");
}

void print_head(const std::string& head, const std::vector<std::size_t>& formats) {
  fmt::print("{:<58}", head);
  for (const std::size_t f : formats) fmt::print("{:>14}", kKvFormats[f].name);
  fmt::print("\n");
}

void print_text(const Options& options, const KvCost& cost, const std::vector<std::size_t>& formats) {
  fmt::print("{}: {} layers, {} tokens in each of {} sequence{}\n\n", options.model, cost.layers.size(),
             options.context, options.batch, options.batch == 1 ? "" : "s");
  const auto heads = [](const auto& row) {
    return fmt::format("{} x {}{}", row.kv_heads, row.head_dim, row.value_is_key ? " K=V" : "");
  };
  for (const Way& way : kWays) {
    fmt::print("{}: {}\n", way.name, way.what);
    const bool ring = way.bytes == &KvSizes::ring || way.bytes == &KvSizes::least;
    const bool flat = way.bytes == &KvSizes::flat;
    print_head(fmt::format("  {:<14}{:>6}{:>8}  {:<15}{:>9}", "kind", "own", "shared", "heads", "tokens"), formats);
    for (const KvKind& kind : cost.kinds) {
      const std::int64_t tokens = flat ? options.context : ring ? kind.ring_tokens : kind.held_tokens;
      print_sizes(fmt::format("  {:<14}{:>6}{:>8}  {:<15}{:>9}", kind_text(kind.window), kind.owners, kind.sharers,
                              heads(kind), tokens),
                  kind.bytes.*way.bytes, formats);
    }
    print_sizes("  total", cost.total.*way.bytes, formats);
    fmt::print("\n");
  }
  print_head(fmt::format("{:<7}{:<16}{:<16}{:>15}", "layer", "kind", "heads", "transformers"), formats);
  for (std::size_t i = 0; i < cost.layers.size(); ++i) {
    const KvLayer& layer = cost.layers[i];
    if (layer.source.kind == KvSource::own)
      print_sizes(fmt::format("{:<7}{:<16}{:<16}{:>15}", i, kind_text(layer.window), heads(layer), layer.held_tokens),
                  layer.bytes.held, formats);
    else
      fmt::print("{:<7}{:<16}reads the K and V of {}layer {}\n", i, kind_text(layer.window),
                 layer.source.kind == KvSource::target ? "the target's " : "", layer.source.layer);
  }
}

/// Of a directory or a GGUF file; no weight is read.
Result<Plan> plan_of(const std::filesystem::path& model) {
  std::error_code error;
  if (std::filesystem::is_regular_file(model, error)) {
    ASSAY_TRY(file, Gguf::open(model));
    ASSAY_TRY(read, read_gguf_model(file));
    return read.plan;
  }
  ASSAY_TRY(config, read_config(model / "config.json"));
  return make_plan(config);
}

Result<void> kv_verb(const Options& options) {
  ASSAY_TRY(model, find_model_shown(options.model, HubNeed::config));
  ASSAY_TRY(plan, plan_of(model));
  ASSAY_TRY(cost, kv_cost(plan, options.context, options.batch));
  const std::vector<std::size_t> formats = chosen_formats(options.dtype);
  if (options.json)
    print_json(options, cost, formats);
  else
    print_text(options, cost, formats);
  return {};
}

}  // namespace

void add_kv(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("kv", "What the KV cache of a model costs, layer by layer; needs no weights.");
  const auto options = std::make_shared<Options>();
  verb->add_option("--model", options->model,
                   "A directory with a config.json, a GGUF file, or a hub id: org/name[@revision]")
      ->required();
  verb->add_option("--context", options->context, "Tokens of each sequence: the prompt and what is generated")
      ->required()
      ->check(CLI::PositiveNumber);
  verb->add_option("--batch", options->batch, "Sequences")->capture_default_str()->check(CLI::PositiveNumber);
  verb->add_option("--dtype", options->dtype, "fp32, bf16 or q8_0; all shows each")
      ->capture_default_str()
      ->check(CLI::IsMember({"all", "fp32", "bf16", "q8_0"}));
  verb->add_flag("--json", options->json, "Print it as JSON, in bytes");
  verb->footer(
      "Layers that share K/V cost nothing. A call of n tokens needs n more in a ring while it runs.\n"
      "Exit codes: 0 printed, 2 a bad config or option.\n"
      "Example: assay kv --model DIR --context 131072 --batch 4 --dtype bf16");
  verb->callback([options, &exit] {
    const Result<void> done = kv_verb(*options);
    exit = done ? 0 : report(done.error());
  });
}

}  // namespace assay
