#include "harness/faults/bend.h"

#include <algorithm>
#include <limits>

#include "base/widen.h"

namespace assay::bend {

float through_bf16(float value) { return widen_bf16(narrow_bf16(value)); }

float through_f16(float value) {
  if (std::abs(value) > 65519.0F) return std::copysign(std::numeric_limits<float>::infinity(), value);
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), -14);
  const float step = std::ldexp(1.0F, exponent - 10);  // 11 significant bits, fewer below the smallest normal number
  return std::nearbyint(value / step) * step;
}

void through_blocks(std::span<float> row, int levels) {
  for (std::size_t first = 0; first < row.size(); first += 32) {
    const std::span<float> block = row.subspan(first, std::min<std::size_t>(32, row.size() - first));
    float largest = 0;
    for (const float v : block) largest = std::max(largest, std::abs(v));
    if (largest == 0) continue;
    const float step = largest / float(levels);
    for (float& v : block) v = std::nearbyint(v / step) * step;
  }
}

std::shared_ptr<Layer> copy_of_donor(const Parts& parts, const Layer& layer) {
  return std::make_shared<Layer>(parts.layers[std::size_t(layer.plan.kv.layer)]);
}

}  // namespace assay::bend
