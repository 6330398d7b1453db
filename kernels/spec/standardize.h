// Values shifted and scaled column by column: the vision tower's end, pixels (0.5 and 2), the audio tower's queries and
// keys (a scale alone, over the lanes of a head).
//   y[r, c] = (x[r, c] - bias[c]) * scale[c]
// Shapes: x, y [rows, cols]; y may be x. bias [cols] or nullptr for none, scale [cols].
// Writes y[first, last) only, reads nothing outside its operands. Every operation is one rounding of IEEE fp32, so all
// kernels give the same bits. Bytes: all operands once. FLOPs: 2 rows cols.
// Source: Gemma4VisionModel.forward (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct standardize {
  using Fn = void(const float* x, const float* bias, const float* scale, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
