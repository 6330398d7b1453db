// What kernels of every op are handed: weights, activations, and the blocks that quantised weights are stored in. Plain
// data only: sources compiled for one instruction set include this, and the linker may keep any one copy of an inline
// function. Not here: conversions (kernels/formats.h).
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::kernels {

/// A matrix as its file holds it: row after row without gaps, in the format that the kernel was chosen for.
struct Weights {
  const std::byte* data;  ///< [rows, cols]; aligned to an element of fp32, bf16 or f16, to 2 bytes for blocks
  int rows, cols;         ///< cols is a multiple of the format's block
  float scale;            ///< of the whole tensor; 1 for every format but i8
  /// Rows of as many columns that are multiplied next, or nullptr: those that follow in memory. Kernels may fetch them
  /// (past the end of what exists, too), never read them.
  const std::byte* next = nullptr;
};

/// Rows of activations, contiguous. int8 comes in blocks of kActsBlock columns.
struct Activations {
  const void* values;        ///< [tokens, cols]: float, bfloat16 bits, or int8 from -127 to 127
  const float* scales;       ///< [tokens, cols / 32]: what a block's integers are multiplied by; int8 only
  const std::int32_t* sums;  ///< [tokens, cols / 16]: of each block's integers, of the first half and of all, times
                             ///< kSumsFactor; int8 only
  int tokens, cols;
};

/// The same, to be written.
struct ActivationsOut {
  void* values;
  float* scales;
  std::int32_t* sums;
};

constexpr int kActsBlock = 32;
/// What unsigned weights are too large by is 8 times a power of two, in every format: what their products are too large
/// by is to be taken off.
constexpr int kSumsFactor = -8;
/// Blocks of activations whose largest magnitude is smaller are zeros with scale 0: 127 / absmax would overflow.
constexpr float kSmallestAbsmax = 0x1p-119F;

// Blocks as llama.cpp's files hold them; d is an IEEE binary16, possibly negative (Q4_0, Q6_K).
struct BlockQ8_0 {  ///< value = d * q
  std::uint16_t d;
  std::int8_t q[32];
};
struct BlockQ4_0 {  ///< value = d * (nibble - 8); byte i holds value i in its low and value 16 + i in its high nibble
  std::uint16_t d;
  std::uint8_t q[16];
};
/// value = d * scales[i / 16] * (six bits - 32). Halves of 128 values: value 32 j + i of half h (i < 32, j < 4) has its
/// low bits in low[64 h + 32 (j % 2) + i], upper nibble if j >= 2, and its upper two in high[32 h + i] >> 2 j.
struct BlockQ6_K {
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t scales[16];
  std::uint16_t d;
};
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ6_K) == 210);

}  // namespace assay::kernels
