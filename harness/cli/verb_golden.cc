// `assay golden`: what the goldens are, whether they are fit to judge by, how to make more. The work is golden/; this
// file reads options and prints.
#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "golden/check.h"
#include "golden/export.h"
#include "golden/front_end.h"
#include "golden/generator.h"
#include "golden/store.h"
#include "harness/cli/verbs.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::vector<std::string> names;
  std::string name, to = "safetensors", only, model, inputs, out, python;
  int generate = 0;
  bool json = false, no_expose = false;
};

std::string pretty(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

/// Those of the given names, or all. Errors: bad_input (a name that is none).
Result<std::vector<GoldenEntry>> chosen(const std::vector<std::string>& names) {
  ASSAY_TRY(all, list_goldens(data_folder()));
  if (names.empty()) return all;
  std::vector<GoldenEntry> goldens;
  for (const std::string& name : names) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const GoldenEntry& entry) { return entry.name == name; });
    if (found == all.end())
      return fail({Failure::bad_input, data_folder().string(), "", "a golden of that name", name});
    goldens.push_back(*found);
  }
  return goldens;
}

Result<int> list_verb(const Options& options) {
  ASSAY_TRY(goldens, chosen({}));
  Json rows = Json::array();
  for (const GoldenEntry& entry : goldens) {
    ASSAY_CHECK(check_manifest(data_folder(), entry.name));
    ASSAY_TRY(golden, Golden::open(entry.file));
    const GoldenInfo& info = golden.info();
    std::error_code unknown;
    rows.push_back({{"name", entry.name},
                    {"variant", info.variant},
                    {"layers", info.layers.size()},
                    {"cases", info.cases},
                    {"bytes", fs::file_size(entry.file, unknown)}});
  }
  if (FrontEndGolden::exists(data_folder())) {
    ASSAY_TRY(golden, FrontEndGolden::open(data_folder()));
    std::error_code unknown;
    rows.push_back({{"name", kFrontEnd},
                    {"variant", kFrontEnd},
                    {"layers", 0},
                    {"cases", golden.cases()},
                    {"bytes", fs::file_size(golden.file(), unknown)}});
  }
  if (options.json) {
    fmt::print("{}\n", pretty(rows));
    return rows.empty() ? 3 : 0;
  }
  for (const Json& row : rows)
    fmt::print("{:<16} {:<10} {:>3} layers {:>3} cases {:>7} KB\n", row["name"].get<std::string>(),
               row["variant"].get<std::string>(), row["layers"].get<int>(), row["cases"].size(),
               row["bytes"].get<std::uintmax_t>() / 1000);
  return rows.empty() ? 3 : 0;
}

void print_info(const Json& golden) {
  const auto text = [](const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); };
  for (const auto& [key, value] : golden.items())
    if (!value.is_structured()) fmt::print("{:<20} {}\n", key, text(value));
  for (const auto& [key, value] : golden["plan"].items())
    fmt::print("{:<20} {}\n", key, value.is_array() ? std::to_string(value.size()) : text(value));
  for (const auto& [name, one] : golden["cases"].items()) {
    std::string paths;
    for (const Json& path : one["paths"]) paths += (paths.empty() ? "" : ",") + text(path);
    fmt::print("\n{}  {}  {} taps, {} generated ids, {}\n  {}\n", name, one["inputs"]["input_ids"].dump(),
               one["taps"].size(), one["generated"].dump(), paths, text(one["what"]));
  }
}

/// Its cases, with what each asks for and the stages that it holds.
Result<Json> describe_front_end(const FrontEndGolden& golden) {
  Json cases = Json::object();
  for (const std::string& name : golden.cases()) {
    ASSAY_TRY(one, golden.load(name));
    Json stages = Json::object();
    for (const FrontEndStage& stage : one.stages) stages[stage.name] = stage.shape;
    cases[name] = {{"what", one.what}, {"request", Json::parse(one.request, nullptr, false)}, {"stages", stages}};
  }
  return Json{{"kind", kFrontEnd}, {"cases", std::move(cases)}};
}

Result<int> front_end_info(const Options& options) {
  ASSAY_TRY(golden, FrontEndGolden::open(data_folder()));
  ASSAY_TRY(described, describe_front_end(golden));
  if (options.json) {
    fmt::print("{}\n", pretty(described));
    return 0;
  }
  for (const auto& [name, one] : described["cases"].items()) {
    fmt::print("{}\n  {}\n ", name, one["what"].get<std::string>());
    for (const auto& [stage, shape] : one["stages"].items()) fmt::print(" {} {}", stage, shape.dump());
    fmt::print("\n");
  }
  return 0;
}

Result<int> info_verb(const Options& options) {
  if (options.name == kFrontEnd) return front_end_info(options);
  ASSAY_TRY(described, use_golden(data_folder(), options.name, describe_json));
  if (options.json)
    fmt::print("{}\n", described);
  else
    print_info(Json::parse(described));
  return 0;
}

Result<int> check_verb(const Options& options) {
  std::vector<std::string> names = options.names;
  const bool front_end = FrontEndGolden::exists(data_folder()) && (names.empty() || std::erase(names, kFrontEnd) > 0);
  const bool others = options.names.empty() || !names.empty();
  ASSAY_TRY(goldens, others ? chosen(names) : std::vector<GoldenEntry>());
  Json report = Json::object();
  std::size_t findings = 0;
  const auto add = [&](const std::string& name, const std::vector<Finding>& found) {
    Json rows = Json::array();
    for (const Finding& finding : found) rows.push_back({{"at", finding.at}, {"what", finding.what}});
    findings += found.size();
    if (!options.json) {
      fmt::print("{:<16} {}\n", name, found.empty() ? "ok" : std::to_string(found.size()) + " findings");
      for (const Finding& finding : found) fmt::print("  {}: {}\n", finding.at, finding.what);
    }
    report[name] = std::move(rows);
  };
  if (options.names.empty())  // files that belong to no golden are seen only here
    if (const auto whole = check_manifest(data_folder()); !whole)
      add("MANIFEST.json", {{whole.error().where, whole.error().message()}});
  for (const GoldenEntry& entry : goldens) add(entry.name, check_golden(data_folder(), entry));
  if (front_end) add(std::string(kFrontEnd), check_front_end(data_folder()));
  if (options.json) fmt::print("{}\n", pretty(report));
  if (findings > 0) return 1;
  return goldens.empty() && !front_end ? 3 : 0;
}

Result<int> make_verb(const Options& options) {
  const bool any = !options.model.empty() || !options.inputs.empty();
  if (any && (options.model.empty() || options.inputs.empty() || options.out.empty()))
    return fail({Failure::bad_input, "golden make", "", "--model, --inputs and --out together", "only some of them"});
  if (any && (!options.only.empty() || options.no_expose))
    return fail({Failure::bad_input, "golden make", "", "--only and --no-expose without --model", "both"});
  std::vector<std::string> arguments;
  const auto absolute = [](const std::string& path) { return fs::absolute(path).string(); };
  if (any) {
    arguments = {"model",
                 "--model",
                 absolute(options.model),
                 "--inputs",
                 absolute(options.inputs),
                 "--out",
                 absolute(options.out)};
    if (options.generate > 0) arguments.insert(arguments.end(), {"--generate", std::to_string(options.generate)});
  } else {
    arguments = {"make", "--out", absolute(options.out.empty() ? data_folder().string() : options.out)};
    if (!options.only.empty()) arguments.insert(arguments.end(), {"--only", options.only});
    if (options.no_expose) arguments.emplace_back("--no-expose");
  }
  const fs::path root = source_folder();
  ASSAY_TRY(status, run_generator({root / "golden", root / "build" / "venv", options.python}, arguments));
  return status == 0 ? 0 : 2;  // the generator has said why
}

Result<int> export_verb(const Options& options) {
  ASSAY_CHECK(use_golden(data_folder(), options.name, [&](const Golden& golden) -> Result<std::string> {
    if (auto written = export_safetensors(golden, options.out); !written) return fail(std::move(written).error());
    return std::string();
  }));
  return 0;
}

Result<int> taps_verb(const Options& options) {
  if (options.json) {
    fmt::print("{}\n", taps_json());
    return 0;
  }
  const std::array<const char*, 7> columns = {"id", "name", "scope", "kind", "columns", "op", "inputs"};
  const Json rows = Json::parse(taps_json());
  std::array<std::size_t, 7> widths{};
  for (std::size_t c = 0; c < columns.size(); ++c) {
    widths[c] = std::strlen(columns[c]);
    for (const Json& row : rows) widths[c] = std::max(widths[c], row[columns[c]].get_ref<const std::string&>().size());
  }
  const auto line = [&](const auto& text) {
    for (std::size_t c = 0; c + 1 < columns.size(); ++c) fmt::print("{:<{}} ", text(columns[c]), widths[c]);
    fmt::print("{}\n", text(columns.back()));
  };
  line([](const char* column) { return std::string(column); });
  for (const Json& row : rows) line([&](const char* column) { return row[column].get<std::string>(); });
  return 0;
}

}  // namespace

void add_golden(CLI::App& app, int& exit) {
  CLI::App* verb =
      app.add_subcommand("golden", "The goldens: what they hold, whether they are fit to judge by, how to make more.");
  verb->require_subcommand(1);
  verb->footer("Example: assay golden check");
  const auto options = std::make_shared<Options>();
  const auto add = [&](const char* name, const char* what, Result<int> (*act)(const Options&), const char* example) {
    CLI::App* sub = verb->add_subcommand(name, what);
    sub->footer(std::string("Example: assay golden ") + example);
    sub->callback([options, act, &exit] {
      const Result<int> code = act(*options);
      exit = code ? *code : report(code.error());
    });
    return sub;
  };
  const auto json = [&](CLI::App* sub) { sub->add_flag("--json", options->json, "Print JSON"); };

  json(add("list", "Every golden, a line each.", list_verb, "list"));
  CLI::App* info = add("info", "What one golden was made with, and its cases.", info_verb, "info e2b-tails --json");
  info->add_option("golden", options->name, "A name from `golden list`, or a file")->required();
  json(info);
  CLI::App* check = add("check", "Schema, checksums, plan, noise, vacuity: what makes a golden fit to judge by.",
                        check_verb, "check e2b-tails");
  check->add_option("goldens", options->names, "Names; all when left out");
  json(check);
  CLI::App* make = add("make", "Runs transformers: makes the repository's goldens again, or one of any checkpoint.",
                       make_verb, "make --model DIR --inputs cases.json --generate 8 --out golden.h5");
  make->add_option("--only", options->only, "Names, comma-separated");
  make->add_option("--model", options->model, "A checkpoint directory");
  make->add_option("--inputs", options->inputs, "Cases of transformers' forward arguments, .h5 or .json");
  make->add_option("--out", options->out, "With --model: the file to write; else the folder of goldens");
  make->add_option("--generate", options->generate, "Greedy tokens a case, with --model")
      ->check(CLI::Range(0, 1 << 20));
  make->add_flag("--no-expose", options->no_expose, "Skip the slow check that each parameter shows");
  make->add_option("--python", options->python,
                   "An interpreter that has golden/generate/requirements.txt; else build/venv is made");
  CLI::App* out =
      add("export", "One golden's tensors in another form: CASE/inputs/..., CASE/taps/..., CASE/outputs/...",
          export_verb, "export e2b-tails --to safetensors --out e2b-tails.safetensors");
  out->add_option("golden", options->name, "A name from `golden list`, or a file")->required();
  out->add_option("--to", options->to, "The form")->capture_default_str()->check(CLI::IsMember({"safetensors"}));
  out->add_option("--out", options->out, "The file to write")->required();
  json(add("taps", "The tap table: what each tap is called, which op makes it and from what.", taps_verb,
           "taps --json"));
}

}  // namespace assay
