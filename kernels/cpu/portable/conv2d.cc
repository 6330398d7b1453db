#include "kernels/spec/conv2d.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void conv2d_fp32_fp32(const Conv2d& conv, int first, int last) {
  const int out_bins = (conv.bins + 1) / 2;
  for (int t = first; t < last; ++t)
    for (int f = 0; f < out_bins; ++f) {
      float* y = conv.y + (size_t(t) * size_t(out_bins) + size_t(f)) * size_t(conv.out);
      for (int o = 0; o < conv.out; ++o) y[o] = 0;
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          const int frame = 2 * t + i - 1, bin = 2 * f + j - 1;
          if (frame < 0 || frame >= conv.frames || bin < 0 || bin >= conv.bins) continue;
          if (conv.real != nullptr && conv.real[frame] == 0) continue;
          const float* x = conv.x + (size_t(frame) * size_t(conv.bins) + size_t(bin)) * size_t(conv.channels);
          const float* w = conv.w + size_t(i * 3 + j) * size_t(conv.channels) * size_t(conv.out);
          for (int c = 0; c < conv.channels; ++c, w += conv.out)
            for (int o = 0; o < conv.out; ++o) y[o] += x[c] * w[o];
        }
    }
}

}  // namespace assay::kernels::cpu::portable
