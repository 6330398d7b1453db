// The audio tower's two kinds of convolution. Not here: masks, norms (audio_blocks.h).
#pragma once

#include <span>

#include "base/rows.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"

namespace assay::reference {

/// A 3 x 3 convolution of stride 2 over time and frequency, one row of zeros around; both extents halve, rounded up.
/// @param x         [frames, frequencies * channels]: a frame's frequencies, each with its channels side by side
/// @param channels  of x
/// @param kernel    [out, channels * 3 * 3]: time before frequency
/// @return [(frames + 1) / 2, ((frequencies + 1) / 2) * out]
/// Source: the Conv2d of Gemma4AudioSubSampleConvProjectionLayer (transformers 5.22.2).
Grid convolve_2d(Rows<const float> x, int channels, const Weight& kernel);

/// Each column by itself: y[t] = sum over i of kernel[column][i] * x[t - (size - 1) + i], zeros before the first frame.
/// @param x       [frames, cols]
/// @param kernel  [cols, size]
/// Source: Gemma4AudioCausalConv1d (transformers 5.22.2).
Grid convolve_causal(Rows<const float> x, const Weight& kernel);

}  // namespace assay::reference
