#include "engine/cpu/kernel_table.h"

#include <string>

namespace assay::cpu {

Result<void> KernelTaker::finish() const {
  if (missing_.empty()) return {};
  return fail({Failure::unsupported, "cpu", "kernels", "one for op " + std::string(missing_),
               "none that this machine can run"});
}

Result<KernelTable> KernelTable::make(kernels::Format kv, kernels::Acts acts) {
  using kernels::Acts;
  using kernels::Format;
  namespace spec = kernels::spec;
  KernelTable table;
  KernelTaker taker;
  taker.take<spec::rms_norm>(table.rms_norm);
  taker.take<spec::norm_add>(table.norm_add);
  taker.take<spec::rope>(table.rope);
  taker.take<spec::attention_merge>(table.attention_merge);
  taker.take<spec::gated>(table.gated);
  taker.take<spec::ple_mix>(table.ple_mix);
  taker.take<spec::softcap>(table.softcap);
  taker.take<spec::router>(table.router);
  taker.take<spec::scatter_add>(table.scatter_add);
  table.attention_acts = kv == Format::bf16 && acts != Acts::fp32 ? Acts::bf16 : Acts::fp32;
  taker.take<spec::attention>(table.attention, kv, table.attention_acts);
  taker.take<spec::narrow>(table.to_bf16, Format::fp32, Acts::bf16);
  ASSAY_CHECK(taker.finish());
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
