#include "reference/ops/rms_norm.h"

#include <cmath>

#include "reference/ops/parallel.h"

namespace assay::reference {

void rms_norm(Rows<float> x, std::span<const float> weight, float eps) {
#pragma omp parallel for if (worth_threads(std::int64_t{x.rows} * x.cols))
  for (int r = 0; r < x.rows; ++r) {
    const std::span<float> row = x.row(r);
    double squares = 0;  // torch sums in fp32, in an order it does not promise: stay near all of them
    for (const float v : row) squares += double{v} * v;
    const float scale = 1.0F / std::sqrt(float(squares / x.cols) + eps);  // fp32, as torch's pow(., -0.5)
    for (std::size_t c = 0; c < row.size(); ++c) row[c] = row[c] * scale * (weight.empty() ? 1.0F : weight[c]);
  }
}

}  // namespace assay::reference
