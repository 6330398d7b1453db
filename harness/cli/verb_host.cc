// `assay host`: what --engine-lib starts, in a process of its own. Not for people: its help does not show it.
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "engine/external/library.h"
#include "harness/cli/verbs.h"

namespace assay {

void add_host(CLI::App& app, int& exit) {
  CLI::App* verb = app.add_subcommand("host", "Speaks the engine protocol for a shared library.")->group("");
  const auto file = std::make_shared<std::string>();
  verb->add_option("FILE", *file, "The shared library")->required();
  verb->footer("Example: assay host ./embed.so");
  verb->callback([file, &exit] {
    const Result<void> done = external::serve_library(*file);
    exit = done ? 0 : report(done.error());
  });
}

}  // namespace assay
