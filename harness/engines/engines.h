// The engines that are built into assay, by name. Not here: the engines.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay {

const std::vector<Engine>& built_in_engines();

/// Errors: bad_input, naming those that there are.
Result<const Engine*> find_engine(std::string_view name);

}  // namespace assay
