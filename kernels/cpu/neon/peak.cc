#include "kernels/spec/peak.h"

#include <arm_neon.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::neon {
namespace {

struct Fma {
  using Vector = float32x4_t;
  using Sum = float32x4_t;
  using Lane = float;
  static constexpr int kSums = 24, kProducts = 4;
  static Vector ones() { return vdupq_n_f32(1); }
  static Sum dot(Sum sum, Vector a, Vector b) { return vfmaq_f32(sum, a, b); }
};

}  // namespace

void peak_fp32_fp32(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }
void peak_fp32_bf16(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }  // no bf16 dot

}  // namespace assay::kernels::cpu::neon
