#include "reference/ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace assay::reference {

void softmax(std::span<float> x, std::span<const char> seen) {
  const auto takes_part = [&](std::size_t i) { return seen.empty() || seen[i] != 0; };
  float largest = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < x.size(); ++i)
    if (takes_part(i)) largest = std::max(largest, x[i]);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = takes_part(i) ? std::exp(x[i] - largest) : 0.0F;
    sum += x[i];
  }
  if (sum == 0) return;
  for (float& v : x) v = float(v / sum);
}

}  // namespace assay::reference
