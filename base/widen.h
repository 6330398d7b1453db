// bfloat16 and float16 widened to float, exactly, and float rounded to bfloat16. Not here: arithmetic in those types.
#pragma once

#include <bit>
#include <cstdint>

namespace assay {

/// bfloat16 is the upper half of a float.
inline float widen_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// IEEE binary16, subnormals, infinities and NaN included.
inline float widen_f16(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fU;
  const std::uint32_t mantissa = bits & 0x3ffU;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = float(mantissa) * 0x1p-24F;  // a subnormal, or zero: exact
  return sign != 0 ? -magnitude : magnitude;
}

/// Round to nearest, ties to even; NaN stays NaN.
inline std::uint16_t narrow_bf16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return std::uint16_t(bits >> 16 | 0x40U);
  return std::uint16_t((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace assay
