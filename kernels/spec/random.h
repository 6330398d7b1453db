// Seeded numbers that are the same on every machine: a hash of (seed, index), so that any part can be made alone.
#pragma once

#include <bit>
#include <cstdint>

namespace assay::kernels {

/// splitmix64's finaliser (Steele, Lea and Flood 2014) of the index-th state after seed.
inline std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
  z = (z ^ z >> 27) * 0x94d049bb133111ebU;
  return z ^ z >> 31;
}

/// Uniform in [-1, 1), a multiple of 2^-23.
inline float random_signed(std::uint64_t seed, std::uint64_t index) {
  return float(std::int32_t(random_bits(seed, index) >> 40) - (1 << 23)) * 0x1p-23F;
}

}  // namespace assay::kernels
