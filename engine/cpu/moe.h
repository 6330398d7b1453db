// The experts of a layer. Tokens are grouped by expert, so that each expert's weights are read once a call, and all
// experts' rows are shared out together, so that a single token keeps every thread busy. Not here: the dense
// feed-forward beside them, the norms around them (text.cc).
#pragma once

#include <cstdint>

#include "engine/cpu/kernel_table.h"
#include "engine/cpu/matrix.h"
#include "engine/cpu/team.h"
#include "engine/cpu/weights.h"
#include "model/plan.h"

namespace assay::cpu {

/// A slot is a token's place with one of its experts; those of an expert lie side by side, experts in order.
struct MoeBuffers {
  float* probs;                       ///< [tokens, experts]
  std::int32_t* chosen;               ///< [tokens, used], largest first
  float* weights;                     ///< [tokens, used], in the order of slots once grouped
  std::int32_t* slots;                ///< [tokens, used], ascending
  std::int32_t* starts;               ///< [experts + 1], slots
  float *in, *gate_up, *gated, *out;  ///< [tokens * used, ...]
  Operands operands;                  ///< of slots

  /// @param tokens  the most; the widest layer's experts
  static MoeBuffers carve(Carver& carver, std::size_t tokens, const Plan& plan, kernels::Acts acts);
};

/// scores -> probs, chosen, weights. Source: Gemma4TextRouter.
void route(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
           const MoeBuffers& buffers, int tokens);

/// What route() chose, as the tap shows it: weights at their experts, zero elsewhere. Before group().
/// @param out  [tokens, experts]
void scatter_choice(const MoeBuffers& buffers, const Experts& plan, int tokens, float* out);

/// y[t] = sum over its experts e, ascending, of weight * down_e(act(gate_e(x[t])) * up_e(x[t])). After route().
/// @param x, y  [tokens, hidden]
/// Source: Gemma4TextExperts.
void run_experts(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
                 Activation activation, const MoeBuffers& buffers, const float* x, int tokens, int hidden, float* y);

}  // namespace assay::cpu
