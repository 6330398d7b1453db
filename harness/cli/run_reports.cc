#include "harness/cli/run_reports.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <CLI/CLI.hpp>

#include "base/files.h"
#include "reports/json.h"
#include "reports/junit.h"
#include "reports/markdown.h"
#include "reports/terminal.h"

namespace assay {
namespace {

constexpr std::size_t kLargestRun = std::size_t{1} << 30;

bool wants_color() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

}  // namespace

void RunReports::add_to(CLI::App* verb) {
  verb->add_option("--json", json, "Write the run as JSON to this file");
  verb->add_option("--junit", junit, "Write the run as JUnit XML to this file");
  verb->add_option("--markdown", markdown, "Write the run as Markdown to this file");
  verb->add_flag("-v,--verbose", verbose, "A line for every path of every case");
}

Result<int> RunReports::tell(const Run& run) const {
  if (!json.empty()) ASSAY_CHECK(write_file(json, to_json(run)));
  if (!junit.empty()) ASSAY_CHECK(write_file(junit, to_junit(run)));
  if (!markdown.empty()) ASSAY_CHECK(write_file(markdown, to_markdown(run)));
  const std::string text = terminal_report(run, {.color = wants_color(), .verbose = verbose});
  std::fwrite(text.data(), 1, text.size(), stdout);
  return exit_code(run);
}

Result<Run> read_run(const std::string& file) {
  ASSAY_TRY(text, read_file(file, kLargestRun));
  return run_from_json(text, file);
}

}  // namespace assay
