// Packed weights: llama.cpp's blocks, and the floats that they stand for. Here because a checkpoint may hold them; what
// the oracle knows of them is this file. Not here: kernels' own blocks (kernels/), which share no code with the oracle.
// Source: block_q8_0, block_q4_0, block_q6_K and their dequantize_row functions (ggml-common.h, ggml-quants.c), the
// same as gguf.quants (PyPI gguf 0.19).
#pragma once

#include <cstdint>
#include <span>

namespace assay {

/// 32 signed bytes and a scale.
struct BlockQ8_0 {
  static constexpr int kElements = 32;
  std::uint16_t d;  ///< fp16
  std::int8_t q[32];
};

/// 32 values of 4 bits, biased by 8. Byte i holds element i in its low half, element i + 16 in its high half.
struct BlockQ4_0 {
  static constexpr int kElements = 32;
  std::uint16_t d;  ///< fp16
  std::uint8_t q[16];
};

/// 256 values of 6 bits, biased by 32, with a signed scale for each 16. Of each half of 128 elements, as four quarters
/// of 32: `low` holds 4 bits each, quarters 0 and 2 sharing 32 bytes, 1 and 3 the next 32; `high` has 2 bits of all
/// four quarters in one byte, the first quarter's lowest.
struct BlockQ6K {
  static constexpr int kElements = 256;
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t scale[16];
  std::uint16_t d;  ///< fp16
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ6K) == 210, "as files hold them");

/// d * q, in fp32.
void dequantise(const BlockQ8_0& block, std::span<float, 32> out);
void dequantise(const BlockQ4_0& block, std::span<float, 32> out);
/// (d * scale) * q, in fp32: d * scale is exact, the product with q may be rounded.
void dequantise(const BlockQ6K& block, std::span<float, 256> out);

}  // namespace assay
