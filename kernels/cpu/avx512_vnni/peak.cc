#include "kernels/spec/peak.h"

#include <immintrin.h>

#include "../simd/peak.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

struct DotInt8 {
  using Vector = __m512i;
  using Sum = __m512i;
  using Lane = std::int32_t;
  static constexpr int kSums = 24, kProducts = 64;
  static Vector ones() { return _mm512_set1_epi8(1); }
  static Sum dot(Sum sum, Vector a, Vector b) {
    // g++ 12 moves the intrinsic's sums between registers, at half the speed.
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
  }
};

}  // namespace

void peak_fp32_int8(int steps, float* y, int first, int last) { run_peak<DotInt8>(steps, y, first, last); }

}  // namespace assay::kernels::cpu::avx512_vnni
