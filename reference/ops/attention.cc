#include "reference/ops/attention.h"

#include <vector>

#include "reference/ops/dot.h"
#include "reference/ops/softmax.h"

namespace assay::reference {

void attention(std::span<const float> q, Rows<const float> keys, Rows<const float> values, std::span<const char> seen,
               int head_dim, std::span<float> ctx) {
  const std::size_t d = std::size_t(head_dim), heads = q.size() / d, kv_heads = std::size_t(keys.cols) / d;
  std::vector<float> weights(std::size_t(keys.rows));
  std::vector<double> sums(d);
  for (std::size_t head = 0; head < heads; ++head) {
    const std::size_t kv = head / (heads / kv_heads) * d;
    for (int key = 0; key < keys.rows; ++key)
      if (seen[std::size_t(key)]) weights[std::size_t(key)] = dot(q.subspan(head * d, d), keys.row(key).subspan(kv, d));
    softmax(weights, seen);
    sums.assign(d, 0);
    for (int key = 0; key < keys.rows; ++key) {
      if (!seen[std::size_t(key)]) continue;
      const std::span<const float> value = values.row(key).subspan(kv, d);
      for (std::size_t i = 0; i < d; ++i) sums[i] += double{weights[std::size_t(key)]} * value[i];
    }
    for (std::size_t i = 0; i < d; ++i) ctx[head * d + i] = float(sums[i]);
  }
}

}  // namespace assay::reference
