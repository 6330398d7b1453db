#include "reference/ops/rope.h"

#include <cmath>
#include <vector>

#include "reference/ops/parallel.h"

namespace assay::reference {

void rope(Rows<float> x, int head_dim, std::span<const std::int64_t> positions, const Rope& rope) {
  const std::size_t half = std::size_t(head_dim) / 2;
#pragma omp parallel for if (worth_threads(std::int64_t{x.rows} * x.cols))
  for (int token = 0; token < x.rows; ++token) {
    const std::span<float> row = x.row(token);
    const float position = float(positions[std::size_t(token)]);
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = position * rope.inv_freq[i];
      const float cosine = float(std::cos(double{angle})), sine = float(std::sin(double{angle}));
      for (std::size_t head = 0; head < row.size(); head += 2 * half) {
        const float low = row[head + i], high = row[head + i + half];
        row[head + i] = low * cosine + -high * sine;
        row[head + i + half] = high * cosine + low * sine;
      }
    }
  }
}

}  // namespace assay::reference
