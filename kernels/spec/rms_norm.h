// Root-mean-square norm of rows: a token's, or one head's (then rows are tokens * heads). Not here: LayerNorm
// (layer_norm.h), the norm with its residual (norm_add.h).
//   y[r, c] = x[r, c] / sqrt(mean of x[r, .]^2 + eps) * weight[c]
// Shapes: x [rows, cols], weight [cols] or nullptr for none, y [rows, cols]; y may be x. eps > 0.
// Writes y[first, last) only, reads nothing outside its operands. Sums a row in one order, whatever first and last are.
// Arithmetic: fp32. Bytes: x, weight and y once. FLOPs: 4 rows cols.
// Source: Gemma4RMSNorm (transformers 5.22.2), which multiplies by weight; Gemma 1 to 3 by 1 + weight.
#pragma once

namespace assay::kernels::spec {

struct rms_norm {
  using Fn = void(const float* x, const float* weight, float eps, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
