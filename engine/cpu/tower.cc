#include "engine/cpu/tower.h"

#include <string>

#include "kernels/registry.h"

namespace assay::cpu {

Result<TowerKernels> TowerKernels::make() {
  namespace spec = kernels::spec;
  TowerKernels table;
  std::string missing;
  using kernels::Acts;
  using kernels::Format;
  const auto take = [&]<class Spec>(Spec*, typename Spec::Fn*& fn, std::string_view name, Format format, Acts acts) {
    fn = kernels::best<Spec>(format, acts);
    if (fn == nullptr) missing = name;
  };
#define ASSAY_TAKE(op) take(static_cast<spec::op*>(nullptr), table.op, #op, Format::fp32, Acts::fp32)
  ASSAY_TAKE(activate);
  ASSAY_TAKE(add);
  ASSAY_TAKE(attention);
  ASSAY_TAKE(clamp);
  ASSAY_TAKE(conv2d);
  ASSAY_TAKE(depthwise_conv);
  ASSAY_TAKE(gated);
  ASSAY_TAKE(layer_norm);
  ASSAY_TAKE(norm_add);
  ASSAY_TAKE(patch_positions);
  ASSAY_TAKE(pool);
  ASSAY_TAKE(rel_attention);
  ASSAY_TAKE(rms_norm);
  ASSAY_TAKE(rope);
  ASSAY_TAKE(standardize);
#undef ASSAY_TAKE
  take(static_cast<spec::attention*>(nullptr), table.attention_bf16, "attention", Format::bf16, Acts::bf16);
  take(static_cast<spec::narrow*>(nullptr), table.to_bf16, "narrow", Format::fp32, Acts::bf16);
  if (!missing.empty())
    return fail({Failure::unsupported, "cpu", "kernels", "one for op " + missing, "none that this machine can run"});
  return table;
}

}  // namespace assay::cpu
