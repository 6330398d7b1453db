#include "engine/cpu/tower.h"

#include "engine/cpu/kernel_table.h"

namespace assay::cpu {

Result<TowerKernels> TowerKernels::make() {
  using kernels::Acts;
  using kernels::Format;
  namespace spec = kernels::spec;
  TowerKernels table;
  KernelTaker taker;
  taker.take<spec::activate>(table.activate);
  taker.take<spec::add>(table.add);
  taker.take<spec::attention>(table.attention);
  taker.take<spec::clamp>(table.clamp);
  taker.take<spec::conv2d>(table.conv2d);
  taker.take<spec::depthwise_conv>(table.depthwise_conv);
  taker.take<spec::gated>(table.gated);
  taker.take<spec::layer_norm>(table.layer_norm);
  taker.take<spec::norm_add>(table.norm_add);
  taker.take<spec::patch_positions>(table.patch_positions);
  taker.take<spec::pool>(table.pool);
  taker.take<spec::rel_attention>(table.rel_attention);
  taker.take<spec::rms_norm>(table.rms_norm);
  taker.take<spec::rope>(table.rope);
  taker.take<spec::standardize>(table.standardize);
  taker.take<spec::attention>(table.attention_bf16, Format::bf16, Acts::bf16);
  taker.take<spec::narrow>(table.to_bf16, Format::fp32, Acts::bf16);
  ASSAY_CHECK(taker.finish());
  return table;
}

}  // namespace assay::cpu
