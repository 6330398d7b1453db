// model.safetensors.index.json: which shard of a checkpoint holds which tensor. Not here: the shards (safetensors.h).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

/// The weight map: tensor name -> file name in the same directory.
/// Errors: bad_input (not JSON, no weight_map, a value that is not the plain name of a .safetensors file).
Result<std::map<std::string, std::string, std::less<>>> parse_shard_index(std::string_view json, std::string where);

}  // namespace assay
