// What a run's results depend on, as named facts: results of two processes belong together where these are equal. Not
// here: what is done with them (journal.h, merge.h).
#pragma once

#include <chrono>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/verify/select.h"
#include "reports/run.h"

namespace assay {

/// The program (its version and its own bytes), the engines (what they say of themselves, their commands and the bytes
/// of the files that these name), the goldens (the manifest
/// below `data`, or the one file of `selection.model`) and what was selected of them. Not the machine: whether two may
/// share a run is the caller's to say. Errors: io.
Result<Facts> facts_of(std::string_view version, std::span<const Engine* const> engines,
                       const std::filesystem::path& data, const Selection& selection,
                       std::chrono::duration<double> timeout);

/// `goldens: abc instead of def` for the first fact that differs; empty if none does.
std::string difference(const Facts& wanted, const Facts& found);

}  // namespace assay
