#include "reference/ops/convolution.h"

#include <vector>

#include "reference/ops/parallel.h"

namespace assay::reference {

Grid convolve_2d(Rows<const float> x, int channels, const Weight& kernel) {
  const int bins = x.cols / channels, out_bins = (bins + 1) / 2;
  const std::vector<float> weights = kernel.floats();
  Grid y((x.rows + 1) / 2, out_bins * kernel.rows);
#pragma omp parallel for if (worth_threads(std::int64_t{y.rows} * y.cols * kernel.cols))
  for (int t = 0; t < y.rows; ++t)
    for (int f = 0; f < out_bins; ++f)
      for (int out = 0; out < kernel.rows; ++out) {
        double sum = 0;
        for (int c = 0; c < channels; ++c)
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
              const int frame = 2 * t + i - 1, bin = 2 * f + j - 1;
              if (frame < 0 || frame >= x.rows || bin < 0 || bin >= bins) continue;
              sum += double{weights[std::size_t(((out * channels + c) * 3 + i) * 3 + j)]} *
                     x.row(frame)[std::size_t(bin * channels + c)];
            }
        y.row(t)[std::size_t(f * kernel.rows + out)] = float(sum);
      }
  return y;
}

Grid convolve_causal(Rows<const float> x, const Weight& kernel) {
  const std::vector<float> weights = kernel.floats();
  Grid y(x.rows, x.cols);
  for (int t = 0; t < x.rows; ++t)
    for (int c = 0; c < x.cols; ++c) {
      double sum = 0;
      for (int i = 0; i < kernel.cols; ++i) {
        const int frame = t - (kernel.cols - 1) + i;
        if (frame >= 0) sum += double{weights[std::size_t(c * kernel.cols + i)]} * x.row(frame)[std::size_t(c)];
      }
      y.row(t)[std::size_t(c)] = float(sum);
    }
  return y;
}

}  // namespace assay::reference
