#include "kernels/spec/peak.h"

#include <immintrin.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::avx2 {
namespace {

struct Fma {
  using Vector = __m256;
  using Sum = __m256;
  using Lane = float;
  static constexpr int kSums = 12, kProducts = 8;
  static Vector ones() { return _mm256_set1_ps(1); }
  static Sum dot(Sum sum, Vector a, Vector b) { return _mm256_fmadd_ps(a, b, sum); }
};

struct DotInt8 {  // pairs to 16 bits, pairs of those to 32
  using Vector = __m256i;
  using Sum = __m256i;
  using Lane = std::int32_t;
  static constexpr int kSums = 12, kProducts = 32;
  static Vector ones() { return _mm256_set1_epi8(1); }
  static Sum dot(Sum sum, Vector a, Vector b) {
    __m256i pairs = _mm256_maddubs_epi16(a, b);
    asm volatile("" : "+v"(pairs));  // the same for all sums: must be made each time
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

}  // namespace

void peak_fp32_fp32(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }
void peak_fp32_bf16(int steps, float* y, int first, int last) { run_peak<Fma>(steps, y, first, last); }  // no bf16 dot
void peak_fp32_int8(int steps, float* y, int first, int last) { run_peak<DotInt8>(steps, y, first, last); }

}  // namespace assay::kernels::cpu::avx2
