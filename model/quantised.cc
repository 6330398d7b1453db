#include "model/quantised.h"

#include "base/widen.h"

namespace assay {

void dequantise(const BlockQ8_0& block, std::span<float, 32> out) {
  const float d = widen_f16(block.d);
  for (std::size_t i = 0; i < 32; ++i) out[i] = d * float(block.q[i]);
}

void dequantise(const BlockQ4_0& block, std::span<float, 32> out) {
  const float d = widen_f16(block.d);
  for (std::size_t i = 0; i < 16; ++i) {
    out[i] = d * float((block.q[i] & 0xf) - 8);
    out[i + 16] = d * float((block.q[i] >> 4) - 8);
  }
}

void dequantise(const BlockQ6K& block, std::span<float, 256> out) {
  const float d = widen_f16(block.d);
  for (std::size_t element = 0; element < 256; ++element) {
    const std::size_t half = element / 128, quarter = element / 32 % 4, lane = element % 32;
    const unsigned low = block.low[half * 64 + quarter % 2 * 32 + lane] >> (quarter / 2 * 4) & 0xfU;
    const unsigned high = block.high[half * 32 + lane] >> (quarter * 2) & 3U;
    const std::size_t group = element / 16;
    out[element] = d * float(block.scale[group]) * float(int(low | high << 4) - 32);
  }
}

}  // namespace assay
