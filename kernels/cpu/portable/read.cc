#include "kernels/spec/read.h"

#include <cstddef>

namespace assay::kernels::cpu::portable {

void read_fp32_fp32(const std::uint32_t* x, int cols, std::uint32_t* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const std::uint32_t* row = x + std::size_t(r) * std::size_t(cols);
    std::uint32_t lanes[16] = {};
    for (int c = 0; c < cols; c += 16)
      for (int i = 0; i < 16; ++i) lanes[i] ^= row[c + i];
    std::uint32_t all = 0;
    for (const std::uint32_t lane : lanes) all ^= lane;
    y[r] = all;
  }
}

}  // namespace assay::kernels::cpu::portable
