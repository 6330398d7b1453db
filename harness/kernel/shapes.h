// The shapes that kernels meet in real models, derived from layer plans: what a decoding step and a prompt call, and
// how often. Not here: awkward shapes (kernels/op.h), what a pass costs (work.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/kernel/work.h"
#include "kernels/op.h"
#include "model/plan.h"

namespace assay {

/// One op at one shape in a pass.
struct KernelUse {
  const kernels::OpInfo* op = nullptr;
  kernels::Shape shape{};
  std::string parts;  ///< `mlp.gate, mlp.up`: what for, in causal order
  double calls = 0;   ///< in one pass
};

/// Calls of a pass over the text decoder, each op and shape once, in causal order of the first.
std::vector<KernelUse> text_uses(const Plan& plan, const Pass& pass);
/// Of a pass over the towers that the plan has: an image of `patches`, sound of `frames`.
std::vector<KernelUse> tower_uses(const Plan& plan, int patches, int frames);

/// What `kernel check` and `bench` take a model's shapes to be: a decoding step behind `kRealDepth` tokens, prompts of
/// kRealPrompts, an image and a clip.
inline constexpr int kRealDepth = 700;
inline constexpr int kRealPrompts[] = {128, 512};
inline constexpr int kRealUnit = 64;       ///< tokens of a prompt that the CPU engine puts into a ring at a time
inline constexpr int kRealPatches = 2520;  ///< 280 soft tokens of 3 x 3: the processor's default
inline constexpr int kRealFrames = 1000;   ///< ten seconds
/// Of all these passes, each op and shape once; calls are those of the pass that has most.
std::vector<KernelUse> real_uses(const Plan& plan);

/// Appends what is not there yet; what is gets the other's parts, too, and the larger number of calls.
void merge(std::vector<KernelUse>& into, const std::vector<KernelUse>& more);

/// A shape with fewer rows, then fewer tokens, whose cost is within the limits and that the op still takes; the shape
/// itself if it is within them already, or if nothing of it can be cut.
/// @param bytes, flops  most of each
kernels::Shape cut(const kernels::OpInfo& op, kernels::Format format, kernels::Acts acts, kernels::Shape shape,
                   double bytes, double flops);

}  // namespace assay
