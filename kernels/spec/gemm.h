// Y = X W^T for many tokens: prefill and the encoders. The dot instructions decide its speed. Not here: one token
// (gemv.h).
//   y[t * stride + r] = sum over c of W[r, c] x[t, c], W dequantised and x as its mode has rounded it
// Shapes: W [rows, cols], x [tokens, cols], y [tokens, stride >= rows] fp32. cols, alignment and arithmetic: as gemv.h.
// Reads nothing outside its operands. Writes y[t, first..last) of all tokens, nothing else. Sums each output in one
// order, whatever first, last and the number of tokens are: any split of rows gives the same bits, and so does any
// split of tokens, which the caller makes by handing over a part of x and y. Bytes: W, x and y once. FLOPs: 2 tokens
// rows cols.
#pragma once

#include "kernels/spec/operands.h"

namespace assay::kernels::spec {

struct gemm {
  using Fn = void(const Weights& w, const Activations& x, float* y, int stride, int first, int last);
};

}  // namespace assay::kernels::spec
