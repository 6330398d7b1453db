// The kernels of every op but the products, as dispatch has chosen them when a session was opened. Not here: products
// (matrix.h).
#pragma once

#include <string_view>

#include "base/result.h"
#include "kernels/op.h"
#include "kernels/registry.h"
#include "kernels/spec/attention.h"
#include "kernels/spec/attention_merge.h"
#include "kernels/spec/gated.h"
#include "kernels/spec/narrow.h"
#include "kernels/spec/norm_add.h"
#include "kernels/spec/ple_mix.h"
#include "kernels/spec/rms_norm.h"
#include "kernels/spec/rope.h"
#include "kernels/spec/router.h"
#include "kernels/spec/scatter_add.h"
#include "kernels/spec/softcap.h"
#include "model/plan.h"

namespace assay::cpu {

/// Takes kernels as dispatch has them, and remembers an op that none of them runs here.
class KernelTaker {
 public:
  template <class Spec>
  void take(typename Spec::Fn*& fn, kernels::Format format = kernels::Format::fp32,
            kernels::Acts acts = kernels::Acts::fp32) {
    fn = kernels::best<Spec>(format, acts);
    if (fn == nullptr) missing_ = kernels::info(kernels::op_of<Spec>).name;
  }
  /// Errors: unsupported (an op without a kernel on this machine).
  Result<void> finish() const;

 private:
  std::string_view missing_;
};

struct KernelTable {
  kernels::spec::rms_norm::Fn* rms_norm = nullptr;
  kernels::spec::norm_add::Fn* norm_add = nullptr;
  kernels::spec::rope::Fn* rope = nullptr;
  kernels::spec::attention::Fn* attention = nullptr;  ///< over K/V in the format of the cache, in the mode
  kernels::Acts attention_acts = kernels::Acts::fp32;
  kernels::spec::attention_merge::Fn* attention_merge = nullptr;
  kernels::spec::gated::Fn* gated = nullptr;
  kernels::spec::ple_mix::Fn* ple_mix = nullptr;
  kernels::spec::softcap::Fn* softcap = nullptr;
  kernels::spec::router::Fn* router = nullptr;
  kernels::spec::scatter_add::Fn* scatter_add = nullptr;
  kernels::spec::narrow::Fn* to_bf16 = nullptr;

  /// @param kv    of cached keys and values
  /// @param acts  of the engine: but for fp32, attention over K/V in bf16 multiplies bf16
  /// Errors: unsupported (an op without a kernel on this machine).
  static Result<KernelTable> make(kernels::Format kv, kernels::Acts acts);
};

kernels::Activation kernel_activation(Activation activation);

}  // namespace assay::cpu
