// The 3 x 3 convolution on registers of any width (lanes.h): tiles of bins times registers of output channels. The
// first and the last bin, whose neighbours may be missing, are tiles of their own. Internal linkage.
#pragma once

#include "kernels/spec/conv2d.h"
#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

constexpr int kTileBins = kWidth / 2;

/// Outputs of bins [f, f + kBins), channels [out, out + C kWidth), or `count` of the last register where that is not 0.
template <int kBins, int C>
[[gnu::noinline]] void conv_tile(const Conv2d& conv, int t, int f, int out, int count) {
  Lanes sums[kBins][C];
#pragma GCC unroll 16
  for (int b = 0; b < kBins; ++b)
#pragma GCC unroll 16
    for (int r = 0; r < C; ++r) sums[b][r] = zero();
  for (int i = 0; i < 3; ++i) {
    const int frame = 2 * t + i - 1;
    if (frame < 0 || frame >= conv.frames || (conv.real != nullptr && conv.real[frame] == 0)) continue;
    for (int j = 0; j < 3; ++j) {
      const int bin = 2 * f + j - 1;
      if (kBins == 1 && (bin < 0 || bin >= conv.bins)) continue;
      const float* x = conv.x + (size_t(frame) * size_t(conv.bins) + size_t(bin)) * size_t(conv.channels);
      const float* w = conv.w + size_t(i * 3 + j) * size_t(conv.channels) * size_t(conv.out) + out;
      for (int c = 0; c < conv.channels; ++c, w += conv.out) {
        Lanes weights[C];
#pragma GCC unroll 16
        for (int r = 0; r < C; ++r) weights[r] = C == 1 ? load_some(w, count) : load(w + r * kWidth);
#pragma GCC unroll 16
        for (int b = 0; b < kBins; ++b) {
          const Lanes value = all(x[2 * b * conv.channels + c]);
#pragma GCC unroll 16
          for (int r = 0; r < C; ++r) sums[b][r] = fused(value, weights[r], sums[b][r]);
        }
      }
    }
  }
  const int bins = (conv.bins + 1) / 2;
#pragma GCC unroll 16
  for (int b = 0; b < kBins; ++b) {
    float* y = conv.y + (size_t(t) * size_t(bins) + size_t(f + b)) * size_t(conv.out) + out;
#pragma GCC unroll 16
    for (int r = 0; r < C; ++r) store_some(y + r * kWidth, sums[b][r], C == 1 ? count : 0);
  }
}

template <int kBins>
void conv_bins(const Conv2d& conv, int t, int f) {
  int out = 0;
  for (; out + 2 * kWidth <= conv.out; out += 2 * kWidth) conv_tile<kBins, 2>(conv, t, f, out, 0);
  for (; out + kWidth <= conv.out; out += kWidth) conv_tile<kBins, 1>(conv, t, f, out, 0);
  if (out < conv.out) conv_tile<kBins, 1>(conv, t, f, out, conv.out - out);
}

inline void convolve(const Conv2d& conv, int first, int last) {
  const int bins = (conv.bins + 1) / 2;
  for (int t = first; t < last; ++t) {
    int f = 0;
    conv_bins<1>(conv, t, f++);
    for (; f + kTileBins < bins; f += kTileBins) conv_bins<kTileBins>(conv, t, f);  // the last bin stays out
    for (; f < bins; ++f) conv_bins<1>(conv, t, f);
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
