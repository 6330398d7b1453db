#include "kernels/isa.h"

#include <gtest/gtest.h>

namespace assay::kernels {
namespace {

CpuidX86 everything() {
  return {.leaf1_ecx = ~0U, .leaf7_ebx = ~0U, .leaf7_ecx = ~0U, .leaf7_1_eax = ~0U, .xcr0 = 0xe7};
}
constexpr std::uint32_t kAllX86 = kAvx2 | kAvxVnni | kAvx512 | kAvx512Bf16 | kAvx512Vnni;

TEST(Isa, SeesWhatTheProcessorHas) {
  EXPECT_EQ(features_of(everything()), kAllX86);
  EXPECT_EQ(features_of({}), 0U);
}

TEST(Isa, RegistersThatTheSystemDoesNotSaveAreNotThere) {
  CpuidX86 cpuid = everything();
  cpuid.xcr0 = 0x07;  // AVX, no AVX-512
  EXPECT_EQ(features_of(cpuid), kAvx2 | kAvxVnni);
  cpuid.xcr0 = 0x67;  // upper registers missing
  EXPECT_EQ(features_of(cpuid), kAvx2 | kAvxVnni);
  cpuid.xcr0 = 0x03;  // SSE alone
  EXPECT_EQ(features_of(cpuid), 0U);
}

TEST(Isa, EachInstructionSetHasItsBit) {
  const auto without = [](std::uint32_t CpuidX86::*leaf, int bit) {
    CpuidX86 cpuid = everything();
    cpuid.*leaf &= ~(1U << bit);
    return kAllX86 & ~features_of(cpuid);
  };
  EXPECT_EQ(without(&CpuidX86::leaf1_ecx, 12), kAllX86);                              // FMA
  EXPECT_EQ(without(&CpuidX86::leaf1_ecx, 29), kAllX86);                              // F16C
  EXPECT_EQ(without(&CpuidX86::leaf7_ebx, 5), kAllX86);                               // AVX2
  EXPECT_EQ(without(&CpuidX86::leaf7_ebx, 16), kAvx512 | kAvx512Bf16 | kAvx512Vnni);  // F
  EXPECT_EQ(without(&CpuidX86::leaf7_ebx, 17), kAvx512 | kAvx512Bf16 | kAvx512Vnni);  // DQ
  EXPECT_EQ(without(&CpuidX86::leaf7_ebx, 30), kAvx512 | kAvx512Bf16 | kAvx512Vnni);  // BW
  EXPECT_EQ(without(&CpuidX86::leaf7_ebx, 31), kAvx512 | kAvx512Bf16 | kAvx512Vnni);  // VL
  EXPECT_EQ(without(&CpuidX86::leaf7_ecx, 11), kAvx512Vnni + 0U);
  EXPECT_EQ(without(&CpuidX86::leaf7_1_eax, 4), kAvxVnni + 0U);
  EXPECT_EQ(without(&CpuidX86::leaf7_1_eax, 5), kAvx512Bf16 + 0U);
}

#if defined(__x86_64__)
TEST(Isa, AgreesWithTheCompilersRuntime) {
  __builtin_cpu_init();
  EXPECT_EQ((machine_features() & kAvx2) != 0, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
  EXPECT_EQ((machine_features() & kAvx512) != 0, __builtin_cpu_supports("avx512bw") &&
                                                     __builtin_cpu_supports("avx512vl") &&
                                                     __builtin_cpu_supports("avx512dq"));
  EXPECT_EQ((machine_features() & kAvx512Vnni) != 0, bool(__builtin_cpu_supports("avx512vnni")));
  EXPECT_EQ((machine_features() & kAvx512Bf16) != 0, bool(__builtin_cpu_supports("avx512bf16")));
}
#endif

TEST(Isa, NamesComeBack) {
  for (int i = 0; i <= int(Isa::avx512_vnni); ++i) EXPECT_EQ(parse_isa(name(Isa(i))), Isa(i));
  EXPECT_FALSE(parse_isa("avx3"));
  EXPECT_FALSE(parse_isa(""));
}

}  // namespace
}  // namespace assay::kernels
