// A golden in other forms: its contents as JSON for people and scripts, its tensors as safetensors for those without
// HDF5.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "golden/store.h"

namespace assay {

/// What the golden was made with, its plan in short, and each case with its inputs, paths and taps; no values.
Result<std::string> describe_json(const Golden& golden);

/// Every case's tensors as `CASE/inputs/NAME`, `CASE/taps/NAME` and `CASE/outputs/NAME`. The metadata holds what the
/// file was made with, and for each tap, by its tensor's name, a JSON object of order, noise, margin and kept rows.
/// Errors: those of loading; io.
Result<void> export_safetensors(const Golden& golden, const std::filesystem::path& file);

/// The tap table, rows as in golden/generate/taps.json.
std::string taps_json();

}  // namespace assay
