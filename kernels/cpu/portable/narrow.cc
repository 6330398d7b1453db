#include "kernels/spec/narrow.h"

#include <cstring>

namespace assay::kernels::cpu::portable {

void narrow_fp32_bf16(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::uint16_t*>(out.values);
  for (std::size_t i = std::size_t(first) * std::size_t(cols); i < std::size_t(last) * std::size_t(cols); ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, x + i, 4);
    values[i] = std::uint16_t((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
  }
}

void narrow_fp32_int8(const float* x, int cols, const ActivationsOut& out, int first, int last) {
  auto* values = static_cast<std::int8_t*>(out.values);
  constexpr float kRound = 0x1.8p23F;  // added and taken away, it leaves the nearest integer, ties to even
  const std::size_t blocks = std::size_t(cols / kActsBlock);
  for (std::size_t b = std::size_t(first) * blocks; b < std::size_t(last) * blocks; ++b) {
    const float* block = x + b * kActsBlock;
    std::uint32_t largest = 0;  // magnitudes compare as their bits do
    for (int i = 0; i < kActsBlock; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, block + i, 4);
      bits &= 0x7fffffffU;
      largest = bits > largest ? bits : largest;
    }
    float absmax;
    std::memcpy(&absmax, &largest, 4);
    const bool zero = absmax < kSmallestAbsmax;
    const float inverse = zero ? 0 : 127 / absmax;
    out.scales[b] = zero ? 0 : absmax / 127;
    std::int32_t half = 0, all = 0;
    for (int i = 0; i < kActsBlock; ++i) {
      const int q = int(block[i] * inverse + kRound - kRound);
      values[b * kActsBlock + std::size_t(i)] = std::int8_t(q);
      half += i < kActsBlock / 2 ? q : 0;
      all += q;
    }
    out.sums[2 * b] = kSumsFactor * half;
    out.sums[2 * b + 1] = kSumsFactor * all;
  }
}

}  // namespace assay::kernels::cpu::portable
