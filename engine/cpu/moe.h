// The experts of a layer. Tokens are grouped by expert, so that each expert's weights are read once a call, and all
// experts' rows are shared out together, so that a single token keeps every thread busy. Not here: the dense
// feed-forward beside them, the norms around them (layers.cc).
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
  float* probs;          ///< [tokens, experts]
  std::int32_t* chosen;  ///< [tokens, used], largest first
  float* weights;        ///< [tokens, used]
  std::int32_t* owners;  ///< [tokens * used]: a slot's token, and
  float* shares;         ///< its weight
  std::int32_t* starts;  ///< [experts + 1], slots
  std::int32_t* hit;     ///< [experts + 1]: how many experts have slots, then which
  float *in, *gated;     ///< [tokens * used, ...], where products are of floats
  float* slices;         ///< [threads, slice]: what a thread makes of gate and up, or of the outputs, at a time
  std::ptrdiff_t slice;
  Operands entering, middle;  ///< of slots

  static constexpr int kSlice = 352;    ///< columns of the middle that a thread makes at a time
  static constexpr int kColumns = 256;  ///< of the outputs, most
  static constexpr int kFew = 16;       ///< tokens below which it makes as many as it can

  /// @param tokens  the most; the widest layer's experts
  /// @param in, down  of experts' matrices
  static MoeBuffers carve(Carver& carver, std::size_t tokens, const Plan& plan, const Widths& in, const Widths& down,
                          const OperandKernels& kernels, int threads);
};

/// scores -> probs, chosen, weights. Source: Gemma4TextRouter.
void route(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
           const MoeBuffers& buffers, int tokens);

/// What route() chose, as the tap shows it: weights at their experts, zero elsewhere. Before group().
/// @param out  [tokens, experts]
void scatter_choice(const MoeBuffers& buffers, const Experts& plan, int tokens, float* out);

/// y[t] = sum over its experts e, ascending, of weight * down_e(act(gate_e(x[t])) * up_e(x[t])). After route().
/// @param operands  for x's rows
/// @param x, y      [tokens, hidden]; x's rows were made by the threads whose share of the tokens they are
/// Source: Gemma4TextExperts.
void run_experts(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
                 Activation activation, const MoeBuffers& buffers, const Operands& operands, const float* x, int tokens,
                 int hidden, float* y);

}  // namespace assay::cpu
