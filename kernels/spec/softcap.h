// The bound on the logits.
//   y[r, c] = tanh(x[r, c] / cap) * cap
// Shapes: x, y [rows, cols]; y may be x. cap > 0. Writes y[first, last) only, reads nothing outside its operands. To
// share out one token's logits, call it with more rows: the op knows no tokens. Arithmetic: fp32. Bytes: x and y once.
// FLOPs: counted as 16 rows cols. Source: Gemma4ForCausalLM.forward (transformers 5.22.2).
#pragma once

namespace assay::kernels::spec {

struct softcap {
  using Fn = void(const float* x, float cap, int cols, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
