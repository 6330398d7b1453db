// The five published configurations, compiled in: model/published/*.json, text model and towers. Not here: weights
// (synthetic.h), drafters.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace assay {

/// e2b, e4b, 12b, 26b-a4b, 31b.
std::vector<std::string_view> published_names();
/// Errors: bad_input (another name), naming those that there are.
/// Source: the checkpoints' config.json; of the towers, the defaults of transformers 5.22.2 where those are published.
Result<Config> published_config(std::string_view name);

}  // namespace assay
