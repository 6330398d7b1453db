#include "kernels/spec/read.h"

#include <immintrin.h>
#include <cstddef>

namespace assay::kernels::cpu::avx512 {

void read_fp32_fp32(const std::uint32_t* x, int cols, std::uint32_t* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const std::uint32_t* row = x + std::size_t(r) * std::size_t(cols);
    __m512i sums[4] = {};
    for (int c = 0; c < cols; c += 64)
      for (int i = 0; i < 4; ++i) sums[i] = _mm512_xor_si512(sums[i], _mm512_load_si512(row + c + 16 * i));
    const __m512i all = _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3]));
    alignas(64) std::uint32_t lanes[16];
    _mm512_store_si512(lanes, all);
    std::uint32_t folded = 0;
    for (const std::uint32_t lane : lanes) folded ^= lane;
    y[r] = folded;
  }
}

}  // namespace assay::kernels::cpu::avx512
