// The formats of weights and the modes of activations: names, sizes, and conversions from and to fp32 that are the same
// on every machine, bit for bit. Not here: arithmetic on them (spec/), reading files (model/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/spec/operands.h"

namespace assay::kernels {

enum class Format : std::uint8_t { fp32, bf16, f16, q8_0, q4_0, q6_k, i8 };
enum class Acts : std::uint8_t { fp32, bf16, int8 };
constexpr int kFormats = 7, kActs = 3;

std::string_view name(Format format);
std::string_view name(Acts acts);
/// Empty for a name that there is not.
std::optional<Format> parse_format(std::string_view name);
std::optional<Acts> parse_acts(std::string_view name);

/// Values of one block, which a row has a whole number of; 1 for fp32, bf16 and f16. i8 has no blocks; 32 is what its
/// kernels take at a time.
int block_values(Format format);
/// Bytes of a row of `cols` values. cols is a multiple of block_values(format).
std::size_t row_bytes(Format format, int cols);

/// One row to fp32: each value's d * q (q6_k: (d * scale) * q), every product rounded to fp32.
/// @param row    row_bytes(format, out.size()) bytes
/// @param scale  the tensor's; i8 only
void dequantize(Format format, const std::byte* row, float scale, std::span<float> out);

/// One row from fp32, in llama.cpp's way (quantize_row_*_ref of ggml-quants.c, built without fused multiply-add).
/// Not for i8, whose scale belongs to the tensor: quantize_i8.
/// @param x    finite; x.size() is a multiple of block_values(format)
/// @param row  row_bytes(format, x.size()) bytes, written whole
void quantize(Format format, std::span<const float> x, std::byte* row);
/// A whole tensor to int8 with one scale, absmax / 127, rounded to nearest even. Returns the scale.
/// @param x    finite
/// @param out  as many bytes as x has values
float quantize_i8(std::span<const float> x, std::byte* out);

/// Activations that own their memory. fp32 is copied, bf16 rounded to nearest even, int8 as op `narrow` says
/// (spec/narrow.h), of which this is the definition in code.
struct OwnActivations {
  OwnActivations(Acts acts, std::span<const float> x, int tokens, int cols);
  Activations view() const;
  /// What a kernel is to take for row `token`, in fp32: value, or scale * integer.
  std::vector<float> row(int token) const;

  Acts acts;
  int tokens, cols;
  std::vector<std::byte> values;
  std::vector<float> scales;
  std::vector<std::int32_t> sums;
};

}  // namespace assay::kernels
