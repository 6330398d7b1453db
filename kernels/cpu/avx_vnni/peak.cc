#include "kernels/spec/peak.h"

#include <immintrin.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::avx_vnni {
namespace {

struct DotInt8 {
  using Vector = __m256i;
  using Sum = __m256i;
  using Lane = std::int32_t;
  static constexpr int kSums = 12, kProducts = 32;
  static Vector ones() { return _mm256_set1_epi8(1); }
  static Sum dot(Sum sum, Vector a, Vector b) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));  // as in ../avx512_vnni/peak.cc
    return sum;
  }
};

}  // namespace

void peak_fp32_int8(int steps, float* y, int first, int last) { run_peak<DotInt8>(steps, y, first, last); }

}  // namespace assay::kernels::cpu::avx_vnni
