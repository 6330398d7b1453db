#include "kernels/registry.h"

#include <atomic>
#include <string>

#include "kernels/op.h"
#include "kernels/spec/activate.h"
#include "kernels/spec/add.h"
#include "kernels/spec/attention.h"
#include "kernels/spec/attention_merge.h"
#include "kernels/spec/clamp.h"
#include "kernels/spec/conv2d.h"
#include "kernels/spec/depthwise_conv.h"
#include "kernels/spec/gated.h"
#include "kernels/spec/gather.h"
#include "kernels/spec/gemm.h"
#include "kernels/spec/gemv.h"
#include "kernels/spec/layer_norm.h"
#include "kernels/spec/narrow.h"
#include "kernels/spec/norm_add.h"
#include "kernels/spec/patch_positions.h"
#include "kernels/spec/peak.h"
#include "kernels/spec/ple_mix.h"
#include "kernels/spec/pool.h"
#include "kernels/spec/read.h"
#include "kernels/spec/rel_attention.h"
#include "kernels/spec/rms_norm.h"
#include "kernels/spec/rope.h"
#include "kernels/spec/router.h"
#include "kernels/spec/scatter_add.h"
#include "kernels/spec/softcap.h"
#include "kernels/spec/standardize.h"

// Lines of another architecture's kernels expand to nothing.
#if defined(__x86_64__)
#define ASSAY_X86(...) __VA_ARGS__
#else
#define ASSAY_X86(...)
#endif
#if defined(__aarch64__)
#define ASSAY_ARM(...) __VA_ARGS__
#else
#define ASSAY_ARM(...)
#endif
#define ASSAY_ONLY_eigen(...) __VA_ARGS__
#define ASSAY_ONLY_portable(...) __VA_ARGS__
#define ASSAY_ONLY_neon(...) ASSAY_ARM(__VA_ARGS__)
#define ASSAY_ONLY_neon_dot(...) ASSAY_ARM(__VA_ARGS__)
#define ASSAY_ONLY_avx2(...) ASSAY_X86(__VA_ARGS__)
#define ASSAY_ONLY_avx_vnni(...) ASSAY_X86(__VA_ARGS__)
#define ASSAY_ONLY_avx512(...) ASSAY_X86(__VA_ARGS__)
#define ASSAY_ONLY_avx512_bf16(...) ASSAY_X86(__VA_ARGS__)
#define ASSAY_ONLY_avx512_vnni(...) ASSAY_X86(__VA_ARGS__)

namespace assay::kernels {

namespace cpu {
#define KERNEL(op, format, acts, isa) ASSAY_ONLY_##isa(namespace isa { spec::op::Fn op##_##format##_##acts; })
#include "kernels/cpu/kernels.inc"
#undef KERNEL
}  // namespace cpu

namespace {

constexpr int kNoLimit = -1;
std::atomic<int> limit{kNoLimit};

}  // namespace

std::span<const Kernel> kernels() {
  static const Kernel table[] = {
#define KERNEL(op, format, acts, isa)                                                                        \
  ASSAY_ONLY_##isa(                                                                                          \
      Kernel{#op "_" #format "_" #acts "_" #isa, Op::op, Format::format, Acts::acts, Backend::cpu, Isa::isa, \
             reinterpret_cast<AnyFn*>(static_cast<spec::op::Fn*>(&cpu::isa::op##_##format##_##acts))}, )
#include "kernels/cpu/kernels.inc"
#undef KERNEL
  };
  return table;
}

const Kernel* find_kernel(std::string_view name) {
  for (const Kernel& kernel : kernels())
    if (kernel.name == name) return &kernel;
  return nullptr;
}

bool runnable(const Kernel& kernel) { return (needs(kernel.isa) & ~machine_features()) == 0; }

bool limit_isa(std::optional<Isa> isa) {
  if (isa && (needs(*isa) & ~machine_features()) != 0) return false;
  limit = isa ? int(*isa) : kNoLimit;
  return true;
}

const Kernel* best_kernel(Op op, Format format, Acts acts) {
  const int limited = limit;
  const std::uint32_t allowed = limited == kNoLimit ? machine_features() : needs(Isa(limited));
  const Kernel* found = nullptr;
  for (const Kernel& kernel : kernels()) {
    if (kernel.op != op || kernel.format != format || kernel.acts != acts) continue;
    if ((needs(kernel.isa) & ~allowed) != 0) continue;
    if (int(kernel.isa) == limited) return &kernel;
    if (found == nullptr || kernel.isa > found->isa) found = &kernel;
  }
  return found;
}

std::span<const OpInfo* const> ops() {
  static const OpInfo* const table[] = {
#define OP(name) &info_of(spec::name{}),
#include "kernels/ops.inc"
#undef OP
  };
  return table;
}

}  // namespace assay::kernels
