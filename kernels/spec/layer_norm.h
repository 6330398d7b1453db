// LayerNorm: behind the audio tower's convolutions (without bias) and in the encoder-free pixel embedder. Not here: RMS
// norm (rms_norm.h).
//   y[r, c] = (x[r, c] - mean) / sqrt(variance + eps) * weight[c] + bias[c], mean and variance of row r's population
// Shapes: x, y [rows, cols], weight [cols], bias [cols] or nullptr for none; y may be x. eps > 0.
// Writes y[first, last) only, reads nothing outside its operands. Sums a row in one order, whatever first and last are,
// and the variance from differences, not from squares. Arithmetic: fp32. Bytes: all operands once. FLOPs: 8 rows cols.
// Source: torch.nn.LayerNorm.
#pragma once

namespace assay::kernels::spec {

struct layer_norm {
  using Fn = void(const float* x, const float* weight, const float* bias, float eps, int cols, float* y, int first,
                  int last);
};

}  // namespace assay::kernels::spec
