#include "kernels/spec/rope.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void rope_fp32_fp32(const Rope& rope, int first, int last) {
  const int pairs = rope.head_dim / rope.parts / 2;
  for (int t = first; t < last; ++t)
    for (int h = 0; h < rope.heads; ++h)
      for (int b = 0; b < rope.parts; ++b) {
        const size_t at = (size_t(t) * size_t(rope.heads) + size_t(h)) * size_t(rope.head_dim) + size_t(2 * b * pairs);
        const size_t angle = size_t(t) * size_t(rope.head_dim / 2) + size_t(b * pairs);
        const float *x = rope.x + at, *cosines = rope.cosines + angle, *sines = rope.sines + angle;
        float* y = rope.y + at;
        for (int i = 0; i < pairs; ++i) {
          const float low = x[i], high = x[i + pairs];
          y[i] = low * cosines[i] - high * sines[i];
          y[i + pairs] = high * cosines[i] + low * sines[i];
        }
      }
}

}  // namespace assay::kernels::cpu::portable
