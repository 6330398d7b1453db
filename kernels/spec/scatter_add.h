// The experts' outputs brought back to their tokens. Experts are run one after another over the tokens that chose them,
// so that a token's outputs lie in `used` rows of their own; seen from the token it is a sum, which threads can share
// out.
//   y[t, c] = sum over i < used of weights[t, i] * x[rows[t, i], c], in this order, beginning with 0
// Shapes: x [anything, cols]; rows, weights [tokens, used]; a row of -1 adds nothing; y [tokens, cols], which x does
// not overlap. first and last are tokens. Writes y[first, last) only, reads nothing outside its operands. Arithmetic:
// fp32. Bytes: the rows, rows, weights and y once. FLOPs: 2 tokens used cols. Source: Gemma4TextExperts
// (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

struct ScatterAdd {
  const float* x;
  const std::int32_t* rows;
  const float* weights;
  float* y;
  int used, cols;
};

namespace spec {

struct scatter_add {
  using Fn = void(const ScatterAdd& add, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
