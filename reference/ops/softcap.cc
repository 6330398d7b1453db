#include "reference/ops/softcap.h"

#include <cmath>

namespace assay::reference {

void softcap(std::span<float> x, float cap) {
  for (float& v : x) v = float(std::tanh(double{v / cap})) * cap;
}

}  // namespace assay::reference
