// The towers' parts from a checkpoint. Not here: the text decoder's (parts.h).
#pragma once

#include "model/plan.h"
#include "reference/audio.h"
#include "reference/tensor_reader.h"
#include "reference/vision.h"

namespace assay::reference {

/// @param hidden  of the text decoder, which the projectors lead to. The reader remembers what is missing.
Vision assemble_vision(TensorReader& reader, const VisionPlan& plan, int hidden);
Audio assemble_audio(TensorReader& reader, const AudioPlan& plan, int hidden);

}  // namespace assay::reference
