// A checkpoint as a directory that any port reads: its own, or where that is not what the harness holds (weights packed
// as they were opened) or not what the engine takes, one written for it in float32. Not here: engines.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"
#include "model/checkpoint.h"

namespace assay::external {

/// What to tell an engine to open.
/// @param dtypes   of weights that it opens, as safetensors spells them; empty: any
/// @param gguf     whether it opens GGUF files
/// @param scratch  where to write; a directory written once is found again
/// Errors: unsupported (no directory to start from, none of its dtypes, or more than kMostUnpacked bytes); io.
Result<std::filesystem::path> directory_for(const Checkpoint& checkpoint, std::span<const std::string> dtypes,
                                            bool gguf, const std::filesystem::path& scratch);

/// Bytes of float32 that are written at most.
inline constexpr std::int64_t kMostUnpacked = std::int64_t{8} << 30;

}  // namespace assay::external
