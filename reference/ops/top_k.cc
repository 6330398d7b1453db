#include "reference/ops/top_k.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace assay::reference {

void top_k(std::span<const float> probs, int used, std::span<const float> scales, std::span<float> chosen) {
  std::vector<std::size_t> order(probs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return probs[a] > probs[b]; });
  order.resize(std::size_t(used));
  float sum = 0;
  for (const std::size_t expert : order) sum += probs[expert];
  std::fill(chosen.begin(), chosen.end(), 0.0F);
  for (const std::size_t expert : order) chosen[expert] = probs[expert] / sum * scales[expert];
}

}  // namespace assay::reference
