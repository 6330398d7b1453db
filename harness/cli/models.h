// Models that the command line names: found by directory or hub id, with a line on stderr while they are fetched. Not
// here: fetching (harness/hub).
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "harness/hub/hub.h"

namespace assay {

/// Errors: those of find_model.
Result<std::filesystem::path> find_model_shown(const std::string& model, HubNeed need);

}  // namespace assay
