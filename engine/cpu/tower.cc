#include "engine/cpu/tower.h"

#include <string>

#include "kernels/registry.h"

namespace assay::cpu {

Result<TowerKernels> TowerKernels::make() {
  namespace spec = kernels::spec;
  TowerKernels table;
  std::string missing;
  const auto take = [&]<class Spec>(Spec*, typename Spec::Fn*& fn, std::string_view name) {
    fn = kernels::best<Spec>(kernels::Format::fp32, kernels::Acts::fp32);
    if (fn == nullptr) missing = name;
  };
#define ASSAY_TAKE(op) take(static_cast<spec::op*>(nullptr), table.op, #op)
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
  if (!missing.empty())
    return fail({Failure::unsupported, "cpu", "kernels", "one for op " + missing, "none that this machine can run"});
  return table;
}

}  // namespace assay::cpu
