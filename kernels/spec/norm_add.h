// The end of every sublayer: its output normed and added to the residual. Not here: the norm alone (rms_norm.h), sums
// without a norm (add.h).
//   y[r, c] = (residual[r, c] + x[r, c] / sqrt(mean of x[r, .]^2 + eps) * weight[c]) * scalar
// Shapes: x, residual, y [rows, cols], weight [cols] or nullptr for none; y may be x or residual. eps > 0. scalar is
// layer_scalar in a layer's last sublayer, else 1. Where experts stand beside the dense FFN, residual is the other's
// norm. Writes y[first, last) only, reads nothing outside its operands. Sums a row in one order, whatever first and
// last are. Arithmetic: fp32. Bytes: x, residual, weight and y once. FLOPs: 6 rows cols. Source:
// Gemma4TextDecoderLayer.forward (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct norm_add {
  using Fn = void(const float* x, const float* weight, float eps, const float* residual, float scalar, int cols,
                  float* y, int first, int last);
};

}  // namespace assay::kernels::spec
