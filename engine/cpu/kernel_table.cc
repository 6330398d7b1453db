#include "engine/cpu/kernel_table.h"

#include <string>

namespace assay::cpu {

Result<KernelTable> KernelTable::make(kernels::Format kv, kernels::Acts acts) {
  using kernels::Acts;
  using kernels::Format;
  namespace spec = kernels::spec;
  KernelTable table;
  std::string missing;
  const auto take = [&]<class Spec>(Spec*, typename Spec::Fn*& fn, std::string_view name, Format format, Acts mode) {
    fn = kernels::best<Spec>(format, mode);
    if (fn == nullptr) missing = name;
  };
#define ASSAY_TAKE(op) take(static_cast<spec::op*>(nullptr), table.op, #op, Format::fp32, Acts::fp32)
  ASSAY_TAKE(rms_norm);
  ASSAY_TAKE(norm_add);
  ASSAY_TAKE(rope);
  ASSAY_TAKE(attention_merge);
  ASSAY_TAKE(gated);
  ASSAY_TAKE(ple_mix);
  ASSAY_TAKE(softcap);
  ASSAY_TAKE(router);
  ASSAY_TAKE(scatter_add);
#undef ASSAY_TAKE
  table.attention_acts = kv == Format::bf16 && acts != Acts::fp32 ? Acts::bf16 : Acts::fp32;
  take(static_cast<spec::attention*>(nullptr), table.attention, "attention", kv, table.attention_acts);
  take(static_cast<spec::narrow*>(nullptr), table.to_bf16, "narrow", Format::fp32, Acts::bf16);
  if (!missing.empty())
    return fail({Failure::unsupported, "cpu", "kernels", "one for op " + missing, "none that this machine can run"});
  return table;
}

kernels::Activation kernel_activation(Activation activation) {
  switch (activation) {
    case Activation::gelu_tanh: return kernels::Activation::gelu_tanh;
    case Activation::gelu_erf: return kernels::Activation::gelu_erf;
    case Activation::silu: return kernels::Activation::silu;
    case Activation::relu: return kernels::Activation::relu;
  }
  return kernels::Activation::gelu_tanh;
}

}  // namespace assay::cpu
