// noise.h5 beside a golden: how far transformers moves in arithmetics that golden.h5 itself does not measure
// (golden/generate/lossy.py). Not here: what the judge makes of it.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "golden/store.h"

namespace assay {

/// noise.h5 of a golden.h5; empty where there is none.
std::filesystem::path noise_beside(const std::filesystem::path& golden);

/// Whether it is of this golden. Errors: io; bad_input (of another).
Result<void> check_noise(const std::filesystem::path& noise, const std::filesystem::path& golden);

/// Gives a case's taps their losses, and the case its router noise. A case that the file does not hold gets none.
/// @param layers  of the golden
/// Errors: io; bad_input, naming the attribute or the dataset.
Result<void> add_noise(const std::filesystem::path& noise, int layers, GoldenCase& to);

}  // namespace assay
