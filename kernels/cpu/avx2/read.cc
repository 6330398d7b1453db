#include "kernels/spec/read.h"

#include <immintrin.h>
#include <cstddef>

namespace assay::kernels::cpu::avx2 {

void read_fp32_fp32(const std::uint32_t* x, int cols, std::uint32_t* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const auto* row = reinterpret_cast<const __m256i*>(x + std::size_t(r) * std::size_t(cols));
    __m256i sums[8] = {};
    for (int c = 0; c < cols / 8; c += 8)
      for (int i = 0; i < 8; ++i) sums[i] = _mm256_xor_si256(sums[i], _mm256_load_si256(row + c + i));
    for (int i = 1; i < 8; ++i) sums[0] = _mm256_xor_si256(sums[0], sums[i]);
    alignas(32) std::uint32_t lanes[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sums[0]);
    std::uint32_t folded = 0;
    for (const std::uint32_t lane : lanes) folded ^= lane;
    y[r] = folded;
  }
}

}  // namespace assay::kernels::cpu::avx2
