// The middle of a gated feed-forward (GeGLU with gelu_tanh), of the per-layer embedding's gate, and a GLU: with
// sigmoid, the second half as gate and the first as up. Not here: what the activations are (activation.h).
//   y[r, c] = activation(gate[r, c]) * up[r, c]
// Shapes: gate, up, y [rows, cols], each with its own floats from row to row, so that gate and up may be halves of one
// matrix, or up a slice of all layers' per-layer inputs; y may be gate or up if its stride is theirs.
// Writes y[first, last) only, reads nothing outside its operands. x is finite; below -88 any value between the
// activation and 0 will do. Bytes: gate, up and y once. FLOPs: counted as 16 rows cols.
// Source: Gemma4TextMLP, Gemma4TextExperts, Gemma4AudioLightConv1d (transformers 5.22.2).
#pragma once

#include "kernels/spec/activation.h"

namespace assay::kernels {

struct Gated {
  const float* gate;
  const float* up;
  float* y;
  int cols;
  int gate_stride, up_stride, y_stride;  ///< at least cols
  Activation activation;
};

namespace spec {

struct gated {
  using Fn = void(const Gated& gated, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
