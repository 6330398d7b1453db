#include "kernels/spec/clamp.h"

#include <stddef.h>

namespace assay::kernels::cpu::portable {

void clamp_fp32_fp32(const float* x, float low, float high, int cols, float* y, int first, int last) {
  for (size_t i = size_t(first) * size_t(cols); i < size_t(last) * size_t(cols); ++i) {
    const float bounded = x[i] > low ? x[i] : low;
    y[i] = bounded < high ? bounded : high;
  }
}

}  // namespace assay::kernels::cpu::portable
