// The program: a command line of verbs (DESIGN.md section 9) and the exit codes of section 6. Not here: any verb.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "harness/cli/verbs.h"

namespace assay {

int report(const Failure& failure) {
  fmt::print(stderr, "assay: {}\n", failure.message());
  return 2;
}

// Here and nowhere else, so that a commit rebuilds one file.
std::string version() { return ASSAY_VERSION; }

std::filesystem::path source_folder() { return ASSAY_SOURCE_FOLDER; }

std::filesystem::path data_folder() {
  const char* set = std::getenv("ASSAY_DATA");
  return set != nullptr && *set != '\0' ? set : source_folder() / "golden" / "data";
}

namespace {

int run(int argc, char** argv) {
  CLI::App app("Tests how true a Gemma 4 engine is: its tensors against those of HuggingFace transformers.", "assay");
  app.set_version_flag("--version", version());
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 nothing failed, 1 something did, 2 could not measure, 3 nothing was judged.\nExample: assay "
      "verify");
  int exit = 0;
  add_verify(app, exit);
  add_dump(app, exit);
  add_golden(app, exit);
  add_locate(app, exit);
  add_faults(app, exit);
  add_bench(app, exit);
  add_doctor(app, exit);
  add_host(app, exit);
  add_kernel(app, exit);
  add_kv(app, exit);
  add_merge(app, exit);
  add_run(app, exit);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked_for) {  // --help and --version
    return app.exit(asked_for);
  } catch (const CLI::ParseError& error) {
    if (!app.get_subcommands().empty()) {
      fmt::print(stderr, "assay: {}\nSee: assay {} --help\n", error.what(), app.get_subcommands().front()->get_name());
    } else {
      const bool unknown_verb = argc > 1 && argv[1][0] != '-';
      fmt::print(stderr, "assay: {}\n\n{}", unknown_verb ? fmt::format("no verb is called {}", argv[1]) : error.what(),
                 app.help());
    }
    return 2;
  }
  return exit;
}

}  // namespace
}  // namespace assay

int main(int argc, char** argv) {
  try {
    return assay::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "assay: %s\n", error.what());
  } catch (...) {
    std::fputs("assay: an exception that is no std::exception\n", stderr);
  }
  return 2;
}
