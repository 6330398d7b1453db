// The audio tower's attention: chunks of queries over a context of their own and neighbouring frames, with a bias for
// the relative position, and a softcap. Not here: attention over a cache (attention.h), how q and k are scaled. Frames
// stand in chunks of `chunk` queries; the context of query i of a chunk that begins at frame b is frames b - past + j
// for j < context = chunk + past + future. With frame t = b + i and head h:
//   bias[j] = q[b + n / (context + 1), h] . relative[n % (context + 1), h], n = i * context + j (transformers' shift),
//     0 where n % (context + 1) >= positions, or where that query lies behind the clip's end
//   s[j] = tanh((q[t, h] . k[b - past + j, h] + bias[j]) / cap) * cap
//   s[j] = invalid where frame b - past + j is outside the clip, not real, or neither in (t - past, t] nor in
//     (t, t + future)
//   y[t, h] = sum over j of softmax(s)[j] * v[b - past + j, h], v zero outside the clip
// A query that sees nothing has the mean of v over its context, as softmax of equals gives.
// Shapes: q, k, v, y [frames, heads * head_dim], one clip; relative [positions, heads * head_dim]; real [frames] or
// nullptr for all. y overlaps nothing. positions <= context + 1, context <= 256. first and last are frames. Writes
// y[first, last) only, reads nothing outside its operands. Arithmetic: fp32. Bytes: all operands once. FLOPs: 6
// head_dim context for each frame and head. Source: Gemma4AudioAttention (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

constexpr int kRelAttentionMaxContext = 256;

struct RelAttention {
  const float *q, *k, *v, *relative;
  const std::uint8_t* real;
  float* y;
  int frames, heads, head_dim, positions;
  int chunk, past, future;
  float cap, invalid;
};

namespace spec {

struct rel_attention {
  using Fn = void(const RelAttention& a, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
