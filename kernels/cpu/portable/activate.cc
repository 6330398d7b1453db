#include "kernels/spec/activate.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void activate_fp32_fp32(const float* x, Activation activation, int cols, float* y, int first, int last) {
  for (size_t i = size_t(first) * size_t(cols); i < size_t(last) * size_t(cols); ++i)
    y[i] = activated(x[i], activation);
}

}  // namespace assay::kernels::cpu::portable
