// The groups /plan/vision and /plan/audio of a golden. Not here: the rest of the file (store.h).
#pragma once

#include "golden/hdf5.h"
#include "golden/store.h"

namespace assay {

/// Errors: bad_input, naming the attribute or dataset.
Result<GoldenVision> read_vision(const hdf5::Group& plan);
Result<GoldenAudio> read_audio(const hdf5::Group& plan);

}  // namespace assay
