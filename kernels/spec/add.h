// Sums without a norm: a bias, the conformer's residual, what is left of a layer's end where nothing is normed.
//   y[r, c] = (a[r, c] + b[r, c]) * scalar
// Shapes: a, y [rows, cols]; b [rows, cols], or [1, cols] with b_stride 0 for one row that is added to all; y may be a
// or b (b not with b_stride 0). first and last are rows. Writes y[first, last) only, reads nothing outside its
// operands. Every operation is one rounding of IEEE fp32, so all kernels give the same bits. Bytes: a, b and y once.
// FLOPs: 2 rows cols.
#pragma once

namespace assay::kernels::spec {

struct add {
  using Fn = void(const float* a, const float* b, int b_stride, float scalar, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
