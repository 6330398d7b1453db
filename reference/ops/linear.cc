#include "reference/ops/linear.h"

#include <vector>

#include "reference/ops/dot.h"
#include "reference/ops/parallel.h"

namespace assay::reference {

void linear(Rows<const float> x, const Weight& w, std::span<const float> bias, Rows<float> y) {
#pragma omp parallel if (worth_threads(std::int64_t{x.rows} * w.rows * w.cols))
  {
    std::vector<float> weights(std::size_t(w.cols));
#pragma omp for
    for (int out = 0; out < w.rows; ++out) {
      w.row(out, weights);  // once for all rows of x
      for (int r = 0; r < x.rows; ++r) {
        const float product = dot(x.row(r), weights);
        y.row(r)[std::size_t(out)] = bias.empty() ? product : product + bias[std::size_t(out)];
      }
    }
  }
}

}  // namespace assay::reference
