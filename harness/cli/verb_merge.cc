// `assay merge`: the parts of a run that `verify --shard` left, put together (harness/verify/shard.h). This file reads
// options and files, and prints.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "harness/cli/run_reports.h"
#include "harness/cli/verbs.h"
#include "harness/verify/shard.h"

namespace assay {
namespace {

struct Options {
  std::vector<std::string> files;
  RunReports reports;
};

Result<int> merge_verb(const Options& options) {
  std::vector<Run> parts;
  for (const std::string& file : options.files) {
    ASSAY_TRY(part, read_run(file));
    parts.push_back(std::move(part));
  }
  ASSAY_TRY(run, merge_runs(parts, options.files));
  return options.reports.tell(run);
}

}  // namespace

void add_merge(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("merge", "The parts of a run, which verify --shard left, as one run.");
  const auto options = std::make_shared<Options>();
  verb->add_option("RUN.json", options->files, "What --json wrote of each part, in any order")->required();
  options->reports.add_to(verb);
  verb->footer(
      "The reports are those of one process, but for times. All parts must be there, of one program and selection.\n"
      "Exit codes: those of verify for the whole run; 2 where parts are missing or do not belong together.\n"
      "Example: assay merge shard-*.json --json run.json --junit run.xml");
  verb->callback([options, &exit] {
    const Result<int> code = merge_verb(*options);
    exit = code ? *code : report(code.error());
  });
}

}  // namespace assay
