// An activation of every value. Not here: what the activations are (activation.h), with a gate (gated.h).
//   y[r, c] = activation(x[r, c])
// Shapes: x, y [rows, cols]; y may be x. Writes y[first, last) only, reads nothing outside its operands. x is finite;
// below -88 any value between the result and 0 will do. Bytes: x and y once.
// FLOPs: counted as 16 rows cols.
#pragma once

#include "kernels/spec/activation.h"

namespace assay::kernels::spec {

struct activate {
  using Fn = void(const float* x, Activation activation, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
