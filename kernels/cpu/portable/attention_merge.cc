#include "kernels/spec/attention_merge.h"

#include <math.h>
#include <stddef.h>

namespace assay::kernels::cpu::portable {

void attention_merge_fp32_fp32(const float* partial, int chunks, int head_dim, float* y, int first, int last) {
  const size_t each = size_t(head_dim) + 2;
  for (int r = first; r < last; ++r) {
    const float* parts = partial + size_t(r) * size_t(chunks) * each;
    float* out = y + size_t(r) * size_t(head_dim);
    float largest = -INFINITY, sum = 0;
    for (int i = 0; i < chunks; ++i) largest = fmaxf(largest, parts[size_t(i) * each + size_t(head_dim)]);
    for (int c = 0; c < head_dim; ++c) out[c] = 0;
    for (int i = 0; i < chunks; ++i) {
      const float* part = parts + size_t(i) * each;
      if (part[head_dim + 1] == 0) continue;
      const float weight = part[head_dim + 1] * expf(part[head_dim] - largest);
      sum += weight;
      for (int c = 0; c < head_dim; ++c) out[c] += weight * part[c];
    }
    const float inverse = sum > 0 ? 1 / sum : 0;
    for (int c = 0; c < head_dim; ++c) out[c] *= inverse;
  }
}

}  // namespace assay::kernels::cpu::portable
