// A kernel compiled by itself, for the loop of someone who writes it: its one source is compiled with the build's own
// command into a shared object and loaded beside the program. No library is archived and no program linked again (a
// second or more), nothing else of the tree has to build, and what a save replaced stays loaded, so that old and new
// are timed side by side. Not here: the loop and what it prints (harness/cli).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/op.h"

namespace assay {

struct Workshop {
  std::filesystem::path source;   ///< of the tree: has kernels/
  std::filesystem::path build;    ///< has compile_commands.json
  std::filesystem::path scratch;  ///< where shared objects go; the caller removes it
};

/// The file that holds a kernel: kernels/cpu/ISA/OP_FORMAT_ACTS.cc, OP_ACTS.cc or OP.cc, the first that exists, as the
/// build takes it. Errors: io (none of them).
Result<std::filesystem::path> source_of(const kernels::Kernel& kernel, const std::filesystem::path& tree);

/// The source and the files that it includes in quotes, directly or not: beside the including file or from the tree's
/// root, each once.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& source, const std::filesystem::path& tree);

/// When each was last written, in nanoseconds of the file system's clock; 0 for one that is not there (an editor may
/// be replacing it).
std::map<std::filesystem::path, std::int64_t> stamps_of(const std::vector<std::filesystem::path>& files);

/// Compiles the kernel's source as it is now and loads it. The row that comes back is `kernel` with the fresh function;
/// it stays good until the process ends. Errors: bad_input (it does not compile: `found` holds what the compiler said;
/// it does not define the kernel), io (no compile command, no compiler).
Result<kernels::Kernel> build_kernel(const kernels::Kernel& kernel, const Workshop& workshop);

}  // namespace assay
