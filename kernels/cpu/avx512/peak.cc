#include "kernels/spec/peak.h"

#include <immintrin.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::avx512 {
namespace {

struct Fma {
  using Vector = __m512;
  using Sum = __m512;
  using Lane = float;
  static constexpr int kSums = 24, kProducts = 16;
  static Vector ones() { return _mm512_set1_ps(1); }
  static Sum dot(Sum sum, Vector a, Vector b) { return _mm512_fmadd_ps(a, b, sum); }
};

}  // namespace

void peak_fp32_fp32(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }
void peak_fp32_bf16(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }  // no bf16 dot

}  // namespace assay::kernels::cpu::avx512
