// An expert's outputs added to the tokens that chose it. Experts are run one after another, so that a token's sum grows
// in their order.
//   y[rows[i] * y_stride + c] += weights[i] * x[i * x_stride + c]
// Shapes: x [n, x_stride >= cols]; rows, weights [n]; y [anything, y_stride >= cols], which x does not overlap. Rows of
// one call differ. first and last are rows of x. Writes cols values of the rows that [first, last) name, reads nothing
// outside its operands. Arithmetic: fp32, the product rounded before the sum or not. Bytes: x, rows and weights once, y
// twice. FLOPs: 2 n cols. Source: Gemma4TextExperts (transformers 5.22.2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::kernels {

struct ScatterAdd {
  const float* x;
  const std::int32_t* rows;
  const float* weights;
  float* y;
  int cols;
  std::ptrdiff_t x_stride, y_stride;
};

namespace spec {

struct scatter_add {
  using Fn = void(const ScatterAdd& add, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
