// The verbs of the command line, one file each: a verb declares its options and, when CLI11 calls it, leaves the exit
// code (DESIGN.md section 6) in `exit`. The only room that prints. Not here: what the verbs do; they call the harness.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace CLI {
class App;
}

namespace assay {

void add_verify(CLI::App& app, int& exit);
void add_golden(CLI::App& app, int& exit);
void add_bench(CLI::App& app, int& exit);
void add_doctor(CLI::App& app, int& exit);
void add_dump(CLI::App& app, int& exit);
void add_faults(CLI::App& app, int& exit);
void add_host(CLI::App& app, int& exit);
void add_kernel(CLI::App& app, int& exit);
void add_kv(CLI::App& app, int& exit);
void add_locate(CLI::App& app, int& exit);
void add_merge(CLI::App& app, int& exit);
void add_run(CLI::App& app, int& exit);

/// Prints `assay: <message>` on stderr; returns 2.
int report(const Failure& failure);

/// From git, as `--version` prints it.
std::string version();

/// The source folder this program was built from.
std::filesystem::path source_folder();

/// Where the goldens are: ASSAY_DATA if set, else golden/data of the source folder.
std::filesystem::path data_folder();

}  // namespace assay
