// Makes attention's answer of its chunks' parts (attention.h).
//   with l = largest of the parts' largest scores, w[i] = sum[i] * exp(largest[i] - l):
//   y[r, c] = sum over i of w[i] * value[r, i, c] / sum over i of w[i]; zeros if all sums are 0
// Shapes: partial [rows, chunks, head_dim + 2]: head_dim values, largest, sum; y [rows, head_dim]; rows = tokens *
// heads. Writes y[first, last) only, reads nothing outside its operands. Sums in the order of chunks. Arithmetic: fp32.
// Bytes: partial and y once. FLOPs: 2 rows chunks head_dim.
#pragma once

namespace assay::kernels::spec {

struct attention_merge {
  using Fn = void(const float* partial, int chunks, int head_dim, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
