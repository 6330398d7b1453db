#include "reference/ops/rope_2d.h"

#include <cmath>

#include "reference/ops/parallel.h"

namespace assay::reference {

void rope_2d(Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope) {
  const std::size_t quarter = std::size_t(head_dim) / 4;
#pragma omp parallel for if (worth_threads(std::int64_t{x.rows} * x.cols))
  for (int patch = 0; patch < x.rows; ++patch) {
    const std::span<float> row = x.row(patch);
    const PatchPosition at = positions[std::size_t(patch)];
    for (std::size_t half = 0; half < 2; ++half)
      for (std::size_t i = 0; i < quarter; ++i) {
        const float angle = float(half == 0 ? at.x : at.y) * rope.inv_freq[i];
        const float cosine = float(std::cos(double{angle})), sine = float(std::sin(double{angle}));
        for (std::size_t head = 0; head < row.size(); head += 4 * quarter) {
          float &low = row[head + 2 * half * quarter + i], &high = row[head + (2 * half + 1) * quarter + i];
          const float turned = low * cosine + -high * sine;
          high = high * cosine + low * sine;
          low = turned;
        }
      }
  }
}

}  // namespace assay::reference
