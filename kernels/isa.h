// Instruction sets: which there are, which this machine has. Not here: which kernel is taken (registry.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace assay::kernels {

enum class Isa : std::uint8_t {
#define ISA(name, architecture, needs) name,
#include "kernels/cpu/isas.inc"
#undef ISA
};

/// What kernels may need, one bit each. Each x86 bit stands for the instructions and for the registers they use, which
/// the operating system must save (XCR0): a processor may have the one without the other.
enum Feature : std::uint32_t {
  kAvx2 = 1,         ///< AVX2, FMA, F16C
  kAvxVnni = 2,      ///< VEX-coded 8-bit dot product
  kAvx512 = 4,       ///< AVX-512 F, BW, VL, DQ
  kAvx512Bf16 = 8,   ///< bfloat16 dot product
  kAvx512Vnni = 16,  ///< 8-bit dot product
  kNeon = 32,
  kNeonDot = 64,  ///< sdot, udot
};

/// Eigen is compiled with AVX2 on x86 (x86-64-v3, what a user of Eigen builds for), with the baseline elsewhere.
#if defined(__x86_64__)
constexpr std::uint32_t kEigenFeatures = kAvx2;
#else
constexpr std::uint32_t kEigenFeatures = 0;
#endif

/// The registers of CPUID that decide, and XCR0. A plain copy, so that other machines can be put into tests.
struct CpuidX86 {
  std::uint32_t leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_1_eax = 0;
  std::uint64_t xcr0 = 0;
};
/// Source: Intel's Software Developer's Manual, volume 1, 14.3 and 15.2; volume 2, CPUID.
std::uint32_t features_of(const CpuidX86& cpuid);

/// Of the machine that this runs on; asked once.
std::uint32_t machine_features();

std::uint32_t needs(Isa isa);
std::string_view name(Isa isa);
/// Empty for a name that there is not.
std::optional<Isa> parse_isa(std::string_view name);

}  // namespace assay::kernels
