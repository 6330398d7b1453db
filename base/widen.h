// bfloat16 and float16 widened to float, exactly, and float rounded to either. Not here: arithmetic in those types.
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

/// IEEE binary16, round to nearest, ties to even; overflow is infinity, NaN stays NaN.
inline std::uint16_t narrow_f16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U, magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return std::uint16_t(sign | 0x7e00U);
  if (magnitude >= 0x477ff000U) return std::uint16_t(sign | 0x7c00U);  // 65520 and more
  if (magnitude < 0x38800000U) {  // subnormal: adding 0.5 leaves the multiple of 2^-24 in the last bits, rounded
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return std::uint16_t(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000U));
  }
  return std::uint16_t(sign | (magnitude - 0x38000000U + 0xfffU + (magnitude >> 13 & 1U)) >> 13);
}

}  // namespace assay
