#include "reference/ops/layer_norm.h"

#include <cmath>

#include "reference/ops/parallel.h"

namespace assay::reference {

void layer_norm(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps) {
#pragma omp parallel for if (worth_threads(std::int64_t{x.rows} * x.cols))
  for (int r = 0; r < x.rows; ++r) {
    const std::span<float> row = x.row(r);
    double sum = 0, squares = 0;
    for (const float v : row) sum += v;
    const double mean = sum / x.cols;
    for (const float v : row) squares += (v - mean) * (v - mean);
    const double scale = 1 / std::sqrt(squares / x.cols + double{eps});
    for (std::size_t c = 0; c < row.size(); ++c) {
      const float normed = float((row[c] - mean) * scale) * weight[c];
      row[c] = bias.empty() ? normed : normed + bias[c];
    }
  }
}

}  // namespace assay::reference
