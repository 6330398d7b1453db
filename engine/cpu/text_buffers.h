// What the text decoder's ops leave for one another: one arena, planned for a number of tokens when a session is opened
// and again only for a call that must be computed in larger pieces. Not here: caches, weights.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/cpu/matrix.h"
#include "engine/cpu/moe.h"
#include "engine/cpu/pages.h"
#include "engine/cpu/weights.h"
#include "model/plan.h"

namespace assay::cpu {

/// Layers turn and look in few ways; each is worked out once a call.
struct LayerKinds {
  struct View {
    int window;
    Blocks blocks;
    bool operator==(const View&) const = default;
  };
  std::vector<Rope> ropes;
  std::vector<View> views;
  std::vector<int> rope_of, view_of;  ///< of each layer

  explicit LayerKinds(const Plan& plan);
};

/// How much of a feed-forward's middle, act(gate) * up, lies in memory when many rows go through a layer.
enum class Middle {
  whole,     ///< gate, up and what they make
  fused,     ///< what they make
  narrowed,  ///< the same, only as activations of the product that reads it
};

/// What the inputs of a text decoder's matrices need: of experts those of their slots, of all others a row's.
struct TextWidths {
  Widths all;
  Widths down;  ///< of feed-forwards
  Widths experts_in, experts_down;

  TextWidths(const Widths& of_all, const std::vector<LayerWeights>& layers);
};

struct TextBuffers {
  static constexpr int kRowsAtOnce = 16;  ///< rows that a thread makes and narrows while they are in its cache
  /// Rows from which a middle can be fused: below, the widths of its matrices are what threads share best.
  static constexpr int kFusedRows = 16;
  static constexpr int kSlice = 128;  ///< columns of a feed-forward's middle that a thread makes at a time

  std::int64_t* ids;                    ///< [rows]
  std::vector<float*> cosines, sines;   ///< a rope each: [rows, head_dim / 2]
  std::vector<std::int32_t*> from, to;  ///< a view each: [rows]
  float *x, *normed, *out, *second;     ///< [rows, hidden]
  float *q, *ctx;                       ///< [rows, widest q]
  float *k, *v;                         ///< [rows, widest kv]
  float *gate, *up;                     ///< [rows, widest ffn]; of a fused middle [kFusedRows, widest ffn]
  float* few;                           ///< [threads, kRowsAtOnce, hidden]
  float* slices;                        ///< [threads, 2, rows, kSlice]
  float *ple, *context;                 ///< [rows, layers, ple width]
  Operands operands;
  Operands gated;  ///< [rows, widest ffn], while operands hold what it is made of
  MoeBuffers moe;

  static TextBuffers carve(Carver& carver, std::size_t rows, const Plan& plan, const LayerKinds& kinds, Middle middle,
                           const TextWidths& widths, const OperandKernels& kernels, int threads);
};

}  // namespace assay::cpu
