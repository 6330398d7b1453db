// Tensors that an engine has written, from a file that may be anything: absent, half, enormous, a pipe, a link to
// somewhere else. Not here: the format (model/safetensors.h), which tensors were asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/safetensors.h"

namespace assay::external {

/// Reads the file into memory, so that whoever still writes to it changes nothing here. Errors, all bad_output from
/// `where` with the file's name as their field: no regular file of at most `limit` bytes, or no safetensors.
Result<Safetensors> read_outputs(const std::filesystem::path& file, std::int64_t limit, const std::string& where);

/// A float32 tensor of that name. Errors: bad_output, naming the tensor.
/// @param shapes  those that it may have; the first is the one to name
Result<std::vector<float>> floats_of(const Safetensors& outputs, std::string_view name,
                                     const std::vector<std::vector<std::int64_t>>& shapes, const std::string& where);
/// Likewise int64.
Result<std::vector<std::int64_t>> integers_of(const Safetensors& outputs, std::string_view name,
                                              std::span<const std::int64_t> shape, const std::string& where);

}  // namespace assay::external
