// Rotary position embedding on half-split lanes. Not here: angles, which are a model's affair: the caller makes the
// tables once a forward for all layers with the same frequencies.
// Each head is split into `parts` equal parts of p = head_dim / parts lanes: 1 for text, 2 for images (x, then y).
// Within part b, for i < p / 2, with c = cosines[t, b p/2 + i] and s likewise:
//   y[b p + i] = x[b p + i] c - x[b p + p/2 + i] s
//   y[b p + p/2 + i] = x[b p + p/2 + i] c + x[b p + i] s
// Shapes: x, y [tokens, heads, head_dim]; y may be x. cosines, sines [tokens, head_dim / 2]. head_dim is a multiple of
// 2 * parts. first and last are tokens. Writes y[first, last) only, reads nothing outside its operands.
// Arithmetic: fp32. Bytes: x, y and the tables once. FLOPs: 3 tokens heads head_dim.
// Source: apply_rotary_pos_emb, apply_multidimensional_rope (transformers 5.22.2).
#pragma once

namespace assay::kernels {

struct Rope {
  const float* x;
  const float *cosines, *sines;
  float* y;
  int heads, head_dim, parts;
};

namespace spec {

struct rope {
  using Fn = void(const Rope& rope, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
