#include "kernels/spec/peak.h"

#include <immintrin.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::avx512_bf16 {
namespace {

struct DotBf16 {
  using Vector = __m512bh;
  using Sum = __m512;
  using Lane = float;
  static constexpr int kSums = 24, kProducts = 32;
  static Vector ones() {
    const __m512i bits = _mm512_set1_epi16(0x3f80);
    Vector ones;
    __builtin_memcpy(&ones, &bits, sizeof ones);
    return ones;
  }
  static Sum dot(Sum sum, Vector a, Vector b) { return _mm512_dpbf16_ps(sum, a, b); }
};

}  // namespace

void peak_fp32_bf16(int steps, float* y, int first, int last) { run_peak<DotBf16>(steps, y, first, last); }

}  // namespace assay::kernels::cpu::avx512_bf16
