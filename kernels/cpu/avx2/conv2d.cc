#include "kernels/spec/conv2d.h"

#include "../simd/conv2d.h"

namespace assay::kernels::cpu::avx2 {

void conv2d_fp32_fp32(const Conv2d& conv, int first, int last) { convolve(conv, first, last); }

}  // namespace assay::kernels::cpu::avx2
