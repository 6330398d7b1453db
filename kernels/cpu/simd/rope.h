// RoPE on registers of any width (lanes.h). Internal linkage.
#pragma once

#include "kernels/spec/rope.h"
#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

inline void rotate(const Rope& rope, int first, int last) {
  const int pairs = rope.head_dim / rope.parts / 2;
  for (int t = first; t < last; ++t)
    for (int h = 0; h < rope.heads; ++h)
      for (int b = 0; b < rope.parts; ++b) {
        const size_t at = (size_t(t) * size_t(rope.heads) + size_t(h)) * size_t(rope.head_dim) + size_t(2 * b * pairs);
        const size_t angle = size_t(t) * size_t(rope.head_dim / 2) + size_t(b * pairs);
        const float *x = rope.x + at, *cosines = rope.cosines + angle, *sines = rope.sines + angle;
        float* y = rope.y + at;
        each_register(pairs, [&](int i, int count) {
          const Lanes low = load_some(x + i, count), high = load_some(x + pairs + i, count);
          const Lanes cosine = load_some(cosines + i, count), sine = load_some(sines + i, count);
          store_some(y + i, subtract(multiply(low, cosine), multiply(high, sine)), count);
          store_some(y + pairs + i, add(multiply(high, cosine), multiply(low, sine)), count);
        });
      }
}

}  // namespace
}  // namespace assay::kernels::cpu
