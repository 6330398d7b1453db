#include "kernels/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace assay::kernels {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  std::uint32_t needs;
};
constexpr IsaRow kIsas[] = {
#define ISA(name, architecture, needs) {Isa::name, #name, needs},
#include "kernels/cpu/isas.inc"
#undef ISA
};

std::uint32_t detect() {
#if defined(__x86_64__)
  CpuidX86 found;
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return 0;
  found.leaf1_ecx = ecx;
  if ((ecx & bit_OSXSAVE) != 0) {
    std::uint32_t low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // the intrinsic would need -mxsave for this file
    found.xcr0 = std::uint64_t{high} << 32 | low;
  }
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    found.leaf7_ebx = ebx;
    found.leaf7_ecx = ecx;
    const std::uint32_t last_subleaf = eax;
    if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) found.leaf7_1_eax = eax;
  }
  return features_of(found);
#elif defined(__aarch64__)
  const unsigned long has = getauxval(AT_HWCAP);
  constexpr unsigned long kAsimd = 1UL << 1, kAsimdDp = 1UL << 20;  // asm/hwcap.h
  return ((has & kAsimd) != 0 ? kNeon : 0U) | ((has & kAsimdDp) != 0 ? kNeonDot : 0U);
#else
  return 0;
#endif
}

}  // namespace

std::uint32_t features_of(const CpuidX86& cpuid) {
  const auto all = [](std::uint64_t value, std::uint64_t bits) { return (value & bits) == bits; };
  constexpr std::uint64_t kYmm = 0x6, kZmm = 0xe6;  // XCR0: SSE and AVX; with them opmask and both halves of AVX-512
  constexpr std::uint32_t kFma = 1U << 12, kXsave = 1U << 27, kAvx = 1U << 28, kF16c = 1U << 29;
  std::uint32_t features = 0;
  if (!all(cpuid.leaf1_ecx, kFma | kXsave | kAvx | kF16c) || !all(cpuid.leaf7_ebx, 1U << 5) || !all(cpuid.xcr0, kYmm))
    return 0;
  features |= kAvx2;
  if (all(cpuid.leaf7_1_eax, 1U << 4)) features |= kAvxVnni;
  constexpr std::uint32_t kF = 1U << 16, kDq = 1U << 17, kBw = 1U << 30, kVl = 1U << 31;
  if (!all(cpuid.leaf7_ebx, kF | kDq | kBw | kVl) || !all(cpuid.xcr0, kZmm)) return features;
  features |= kAvx512;
  if (all(cpuid.leaf7_ecx, 1U << 11)) features |= kAvx512Vnni;
  if (all(cpuid.leaf7_1_eax, 1U << 5)) features |= kAvx512Bf16;
  return features;
}

std::uint32_t machine_features() {
  static const std::uint32_t features = detect();
  return features;
}

std::uint32_t needs(Isa isa) { return kIsas[std::size_t(isa)].needs; }
std::string_view name(Isa isa) { return kIsas[std::size_t(isa)].name; }

std::optional<Isa> parse_isa(std::string_view name) {
  for (const IsaRow& row : kIsas)
    if (row.name == name) return row.isa;
  return {};
}

}  // namespace assay::kernels
