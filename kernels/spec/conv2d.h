// A 3 x 3 convolution of stride 2 over frames and bins with one row of zeros around, without bias: how the audio tower
// thins mel frames. Not here: the norm and ReLU behind it (layer_norm.h, activate.h).
//   y[t, f, o] = sum over i, j < 3 and c of w[i, j, c, o] * x[2 t + i - 1, 2 f + j - 1, c], x zero outside its extents
//   and in frames with real[frame] = 0
// Shapes: x [frames, bins, channels]; real [frames] or nullptr for all; w [3, 3, channels, out], which the caller has
// turned round from the checkpoint's [out, channels, 3, 3]; y [(frames + 1) / 2, (bins + 1) / 2, out], which x does not
// overlap. first and last are output frames. Writes y[first, last) only, reads nothing outside its operands. Sums each
// output in one order. Arithmetic: fp32. Bytes: all operands once. FLOPs: 18 channels for each of y's values.
// Source: Gemma4AudioSubSampleConvProjectionLayer (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

struct Conv2d {
  const float* x;
  const std::uint8_t* real;
  const float* w;
  float* y;
  int frames, bins, channels, out;
};

namespace spec {

struct conv2d {
  using Fn = void(const Conv2d& conv, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
