// The per-layer inputs: the context projection of a token's embedding, normed for each layer by itself, mixed with the
// token's row of the per-layer table. Not here: the projection (gemm.h), the table's row (gather.h, which scales it).
//   v = x[r, .] * prescale;  y[r, c] = (v[c] / sqrt(mean of v^2 + eps) * weight[c] + token[r, c]) * scale
// Shapes: x, token, y [rows, cols], rows = tokens * layers, cols the width of one layer's input; weight [cols]; y may
// be x or token. prescale is hidden^-0.5, scale 2^-0.5. eps > 0. Writes y[first, last) only, reads nothing outside its
// operands. Sums a row in one order, whatever first and last are. Arithmetic: fp32. Bytes: x, token, weight and y once.
// FLOPs: 7 rows cols. Source: Gemma4TextModel.project_per_layer_inputs (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct ple_mix {
  using Fn = void(const float* x, float prescale, const float* weight, float eps, const float* token, float scale,
                  int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
