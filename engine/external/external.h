// An engine that is somebody else's program: started once, spoken to in JSON lines, its tensors in files of a folder
// that is ours (docs/ENGINE_PROTOCOL.md). Whatever it does wrong is a Failure of the call; the next session that is
// opened starts it anew. Not here: which programs the command line names.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/external/process.h"

namespace assay {

struct ExternalOptions {
  external::Limits limits;
  std::vector<std::pair<std::string, std::string>> environment = {};  ///< NAME, VALUE: for the program
  std::filesystem::path scratch = {};  ///< where its folder is made; empty: the system's temporary folder
  /// Let the program that said hello run on for the first session. Not where the caller forks: children start their
  /// own.
  bool keep = true;
};

/// Starts `command` through the shell and asks what it is. Sessions share one program in each of our processes.
/// Errors: io; internal (it does not say hello as it must).
Result<Engine> external_engine(const std::string& command, const ExternalOptions& options);

}  // namespace assay
