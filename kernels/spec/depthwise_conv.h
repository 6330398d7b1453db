// A causal convolution of each column by itself, without bias, over one clip's frames: the conformer's.
//   y[t, c] = sum over i < size of w[i, c] * x[t - (size - 1) + i, c], x zero before its first frame
// Shapes: x, y [frames, cols], which do not overlap; w [size, cols], which the caller has turned round from the
// checkpoint's [cols, 1, size]. first and last are frames. Writes y[first, last) only, reads nothing outside its
// operands. Sums each output in one order. Arithmetic: fp32. Bytes: x, w and y once. FLOPs: 2 frames cols size.
// Source: Gemma4AudioCausalConv1d (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct depthwise_conv {
  using Fn = void(const float* x, const float* w, int size, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
