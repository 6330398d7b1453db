// y = W x for one token. Decoding is little else, so the bytes of W decide its speed. Not here: many tokens (gemm.h).
//   y[r] = sum over c of W[r, c] x[c], W dequantised and x as its mode has rounded it
// Shapes: W [rows, cols], x [1, cols], y [rows] fp32. cols is a multiple of the format's block, and of 32 with int8
// activations; fp32 and bf16 take any. Alignment: operands.h; y and x to their elements.
// Reads nothing outside its operands. Writes y[first, last) only. Sums a row in one order, whatever first and last are,
// so that any split among threads gives the same bits. Arithmetic: fp32 sums of exact or fp32 products. int8
// activations: integer sums within a block (half a block for q6_k), exact, then one fp32 product with the scales. bf16
// dot instructions may flush subnormals to zero. Bytes: W, x and y once. FLOPs: 2 rows cols.
#pragma once

#include "kernels/spec/operands.h"

namespace assay::kernels::spec {

struct gemv {
  using Fn = void(const Weights& w, const Activations& x, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
