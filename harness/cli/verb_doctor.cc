// `assay doctor`: what this machine is, how fast, and what it has; the work is harness/machine, harness/kernel and
// harness/doctor. This file reads options and prints.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "harness/cli/verbs.h"
#include "harness/doctor/doctor.h"
#include "harness/kernel/roofs.h"
#include "harness/machine/machine.h"
#include "reports/bench_report.h"
#include "reports/text.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  int threads = 0, samples = 9;
  bool json = false, quick = false;
};

struct Found {
  std::vector<Roofs> roofs;  ///< on one thread and on all; empty with --quick
  double hertz = 0;
  std::vector<std::string> doubts;
  std::vector<Finding> findings;
};

Result<Found> look(const Options& options) {
  Found found;
  found.findings = examine(source_folder());
  if (options.quick) return found;
  const int cores = machine_facts().cores, threads = options.threads > 0 ? options.threads : cores;
  found.hertz = measured_hertz();
  for (const int count : threads == 1 ? std::vector<int>{1} : std::vector<int>{1, threads}) {
    ASSAY_TRY(roofs, measure_roofs(count, options.samples));
    for (const std::string& doubt : doubts(roofs, cores, found.hertz))
      found.doubts.push_back(fmt::format("on {} thread{}: {}", count, count == 1 ? "" : "s", doubt));
    found.roofs.push_back(std::move(roofs));
  }
  return found;
}

void print_json(const Found& found) {
  Json out{{"machine", Json::parse(to_json(machine_facts()))}, {"version", version()}, {"hertz", found.hertz}};
  out["roofs"] = Json::array();
  for (const Roofs& roofs : found.roofs) out["roofs"].push_back(Json::parse(to_json(roofs)));
  out["doubts"] = found.doubts;
  out["has"] = Json::array();
  for (const Finding& finding : found.findings)
    out["has"].push_back({{"group", finding.group},
                          {"name", printable(finding.name)},
                          {"there", finding.there},
                          {"found", printable(finding.found)},
                          {"what_for", finding.what_for},
                          {"get", finding.get}});
  fmt::print("{}\n", out.dump(1, ' ', false, Json::error_handler_t::replace));
}

void print_text(const Found& found) {
  const MachineFacts& machine = machine_facts();
  std::string isa, caches;
  for (const std::string& name : machine.isa) isa += (isa.empty() ? "" : " ") + name;
  for (const auto& [level, bytes] : machine.caches)
    caches += fmt::format("{}{} {} KiB", caches.empty() ? "" : ", ", level, bytes / 1024);
  fmt::print("machine      {}\nprocessor    {}, {} cores\nkernels use  {}\ncaches       {}\nmemory       {:.1f} GiB\n",
             machine.fingerprint, printable(machine.cpu), machine.cores, isa, caches,
             double(machine.memory) / double(1 << 30));
  fmt::print("governor     {}\n", machine.governor.empty() ? "the system does not tell" : machine.governor);
  if (found.hertz > 0) fmt::print("clock        {:.2f} GHz, measured\n", found.hertz * 1e-9);
  for (const Roofs& roofs : found.roofs)
    fmt::print("roofs        on {} thread{}: {}\n", roofs.threads, roofs.threads == 1 ? " " : "s",
               roofs_text(roofs, true));
  for (const std::string& doubt : found.doubts) fmt::print("DOUBTFUL     {}\n", doubt);
  std::size_t width = 0;
  for (const Finding& finding : found.findings) width = std::max(width, finding.name.size());
  fmt::print("\n");
  for (const Finding& finding : found.findings)
    if (finding.there)
      fmt::print("{:<8} {:<{}}  {}\n", finding.group, printable(finding.name), width, printable(finding.found));
  fmt::print("\n");
  for (const Finding& finding : found.findings)
    if (!finding.there)
      fmt::print("missing  {:<{}}  for {}{}\n", finding.name, width, finding.what_for,
                 finding.get.empty() ? "" : ": " + finding.get);
}

}  // namespace

void add_doctor(CLI::App& app, int& exit) {
  auto* verb =
      app.add_subcommand("doctor", "What this machine is and has: processor, measured roofs, libraries, devices.");
  const auto options = std::make_shared<Options>();
  verb->add_option("--threads", options->threads, "Threads of the roofs, beside one; 0 = as many as cores")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--samples", options->samples, "Of each roof")->capture_default_str()->check(CLI::PositiveNumber);
  verb->add_flag("--quick", options->quick, "Do not measure roofs");
  verb->add_flag("--json", options->json, "As JSON");
  verb->footer(
      "Roofs are measured by the kernels `read` and `peak` and held against one another: what cannot be is DOUBTFUL.\n"
      "The machine's fingerprint is a hash of processor, cores, instruction sets, governor, caches and memory.\n"
      "Exit codes: 0 all of it is plausible, 1 a roof is not, 2 it could not be measured.\n"
      "Example: assay doctor --json");
  verb->callback([options, &exit] {
    const Result<Found> found = look(*options);
    if (!found) {
      exit = report(found.error());
      return;
    }
    options->json ? print_json(*found) : print_text(*found);
    exit = found->doubts.empty() ? 0 : 1;
  });
}

}  // namespace assay
