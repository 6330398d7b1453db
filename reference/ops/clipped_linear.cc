#include "reference/ops/clipped_linear.h"

#include <algorithm>

#include "reference/ops/linear.h"

namespace assay::reference {

void clamp(std::span<float> x, Bounds bounds) {
  for (float& v : x) v = std::min(std::max(v, bounds.low), bounds.high);
}

Grid clipped_linear(Rows<const float> x, const ClippedWeight& w) {
  Grid in(x), out(x.rows, w.weight.rows);
  clamp(in.values, w.input);
  linear(in.view(), w.weight, {}, out.view());
  clamp(out.values, w.output);
  return out;
}

}  // namespace assay::reference
