// What the vision and the audio tower have in common: rows of one item at a time, memory that grows to the largest
// item, taps gathered over items. Not here: what they compute (vision.h, audio.h).
#pragma once

#include <vector>

#include "base/rows.h"
#include "engine/cpu/tap_sheet.h"
#include "engine/cpu/team.h"
#include "kernels/spec/activate.h"
#include "kernels/spec/add.h"
#include "kernels/spec/attention.h"
#include "kernels/spec/clamp.h"
#include "kernels/spec/conv2d.h"
#include "kernels/spec/depthwise_conv.h"
#include "kernels/spec/gated.h"
#include "kernels/spec/gather.h"
#include "kernels/spec/layer_norm.h"
#include "kernels/spec/narrow.h"
#include "kernels/spec/norm_add.h"
#include "kernels/spec/patch_positions.h"
#include "kernels/spec/pool.h"
#include "kernels/spec/rel_attention.h"
#include "kernels/spec/rms_norm.h"
#include "kernels/spec/rope.h"
#include "kernels/spec/standardize.h"

namespace assay::cpu {

/// The kernels of the towers' ops, as dispatch has chosen them when a session was opened.
struct TowerKernels {
  kernels::spec::activate::Fn* activate = nullptr;
  kernels::spec::add::Fn* add = nullptr;
  kernels::spec::attention::Fn* attention = nullptr;
  kernels::spec::attention::Fn* attention_bf16 = nullptr;  ///< over K/V in bf16, products of bf16
  kernels::spec::clamp::Fn* clamp = nullptr;
  kernels::spec::conv2d::Fn* conv2d = nullptr;
  kernels::spec::depthwise_conv::Fn* depthwise_conv = nullptr;
  kernels::spec::gated::Fn* gated = nullptr;
  kernels::spec::layer_norm::Fn* layer_norm = nullptr;
  kernels::spec::narrow::Fn* to_bf16 = nullptr;
  kernels::spec::norm_add::Fn* norm_add = nullptr;
  kernels::spec::patch_positions::Fn* patch_positions = nullptr;
  kernels::spec::pool::Fn* pool = nullptr;
  kernels::spec::rel_attention::Fn* rel_attention = nullptr;
  kernels::spec::rms_norm::Fn* rms_norm = nullptr;
  kernels::spec::rope::Fn* rope = nullptr;
  kernels::spec::standardize::Fn* standardize = nullptr;

  /// Errors: unsupported (an op without a kernel on this machine).
  static Result<TowerKernels> make();
};

/// A kernel's function on this thread's share of `rows`.
template <class Call>
void share(const Team& team, int rows, const Call& call) {
  const Team::Part part = team.split(rows);
  if (part.first < part.last) call(part.first, part.last);
}

}  // namespace assay::cpu
