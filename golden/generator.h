// The Python generator (golden/generate/) in a virtual environment of its own. Not here: what it makes.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace assay {

struct Generator {
  std::filesystem::path folder;  ///< golden/, with generate/requirements.txt below
  std::filesystem::path venv;    ///< made where missing, and again when the requirements change
  std::string python;            ///< used as it is instead of the venv's, if set
};

/// Runs `python -m generate ARGUMENTS` in the folder and returns its exit status; what it prints goes where our own
/// output goes. Paths among the arguments are absolute. Errors: io (no Python, the environment cannot be made).
Result<int> run_generator(const Generator& generator, const std::vector<std::string>& arguments);

}  // namespace assay
