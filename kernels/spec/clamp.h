// Values bounded: before and after the towers' clipped linears, before the audio tower's norms.
//   y[r, c] = min(max(x[r, c], low), high)
// Shapes: x, y [rows, cols]; y may be x. low <= high; infinite ones bound nothing. x is no NaN. Writes y[first, last)
// only, reads nothing outside its operands. Exact but for the sign of zeros. Bytes: x and y once. FLOPs: 2 rows cols.
// Source: Gemma4ClippableLinear, Gemma4AudioLayer (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct clamp {
  using Fn = void(const float* x, float low, float high, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
