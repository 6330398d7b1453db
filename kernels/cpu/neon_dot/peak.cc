#include "kernels/spec/peak.h"

#include <arm_neon.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::neon_dot {
namespace {

struct DotInt8 {
  using Vector = int8x16_t;
  using Sum = int32x4_t;
  using Lane = std::int32_t;
  static constexpr int kSums = 24, kProducts = 16;
  static Vector ones() { return vdupq_n_s8(1); }
  static Sum dot(Sum sum, Vector a, Vector b) { return vdotq_s32(sum, a, b); }
};

}  // namespace

void peak_fp32_int8(int steps, float* y, int first, int last) { run_peak<DotInt8>(steps, y, first, last); }

}  // namespace assay::kernels::cpu::neon_dot
