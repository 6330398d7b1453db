#include "kernels/spec/softcap.h"

#include <math.h>
#include <stddef.h>

namespace assay::kernels::cpu::portable {

void softcap_fp32_fp32(const float* x, float cap, int cols, float* y, int first, int last) {
  for (size_t i = size_t(first) * size_t(cols); i < size_t(last) * size_t(cols); ++i) y[i] = tanhf(x[i] / cap) * cap;
}

}  // namespace assay::kernels::cpu::portable
