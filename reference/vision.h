// The way from pixels to soft tokens, taken apart: plan, weights and tables of ops, as parts.h has them for the text
// decoder. A fault bends any of them. Not here: what the entries do (vision_blocks.h), their order (encode.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/rows.h"
#include "model/plan.h"
#include "reference/ops/clipped_linear.h"
#include "reference/ops/grid.h"
#include "reference/ops/rope_2d.h"
#include "reference/ops/weight.h"

namespace assay::reference {

struct Vision;
struct VisionLayer;

/// Patches of all images, then of all frames of all videos; an item's patches see each other alone.
struct Patches {
  struct Item {
    int first, length;  ///< rows
  };
  std::vector<Item> items;
  std::vector<PatchPosition> positions;  ///< one a row

  std::span<const PatchPosition> of(Item item) const {
    return std::span(positions).subspan(std::size_t(item.first), std::size_t(item.length));
  }
};

struct VisionLayerOps {
  // elementary
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<Grid(Rows<const float> x, const ClippedWeight& w)> linear;
  std::function<void(Rows<float> x, int head_dim, std::span<const PatchPosition>, const Rope& rope)> rope;
  std::function<void(std::span<float> x, Activation activation)> activate;
  // blocks; rows are patches
  std::function<Grid(const VisionLayer&, Rows<const float> in)> attn_norm;
  std::function<Grid(const VisionLayer&, Rows<const float> normed)> project_q;  ///< after q_norm
  std::function<Grid(const VisionLayer&, Rows<const float> normed)> project_k;  ///< after k_norm
  std::function<Grid(const VisionLayer&, Rows<const float> normed)> project_v;  ///< after v_norm
  std::function<void(const VisionLayer&, const Patches&, Rows<float> q)> rotate_q;
  std::function<void(const VisionLayer&, const Patches&, Rows<float> k)> rotate_k;
  /// Marks the patches of an item that each of them sees.
  std::function<void(std::span<const PatchPosition> item, std::span<char> seen)> visible;
  std::function<Grid(const VisionLayer&, const Patches&, Rows<const float> q, Rows<const float> k, Rows<const float> v)>
      attend;  ///< o_proj's input
  std::function<Grid(const VisionLayer&, Rows<const float> ctx)> project_out;
  std::function<Grid(const VisionLayer&, Rows<const float> in, Rows<const float> attn_out)> add_attn;
  std::function<Grid(const VisionLayer&, Rows<const float> post_attn)> ffn_norm;
  std::function<Grid(const VisionLayer&, Rows<const float> ffn_norm)> mlp;
  std::function<Grid(const VisionLayer&, Rows<const float> post_attn, Rows<const float> mlp)> add_ffn;
};

/// What is around the layers.
struct VisionOps {
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<void(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps)> layer_norm;
  std::function<Grid(const Vision&, const Patches&, Rows<const float> pixels)> patch_embed;
  /// Soft tokens before the projector, [soft, hidden].
  std::function<Grid(const Vision&, const Patches&, Rows<const float> last)> pool;
  std::function<void(const Vision&, Rows<float> pooled)> standardize;
  std::function<Grid(const Vision&, Rows<const float> pooled)> project;
};

/// By the names of Gemma4VisionEncoderLayer's parameters.
struct VisionLayerWeights {
  std::vector<float> input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
  ClippedWeight q_proj, k_proj, v_proj, o_proj;
  std::vector<float> q_norm, k_norm;
  ClippedWeight gate_proj, up_proj, down_proj;
};

struct VisionLayer {
  int index = 0;
  float eps = 0;
  Activation activation = Activation::gelu_tanh;
  VisionLayerPlan plan;
  VisionLayerWeights weights;
  VisionLayerOps ops;
};

struct VisionWeights {
  // A tower: Gemma4VisionPatchEmbedder, Gemma4VisionModel
  Weight input_proj;
  std::vector<float> std_bias, std_scale;
  // Encoder-free: Gemma4UnifiedVisionEmbedder
  std::vector<float> patch_ln1, patch_ln1_bias, patch_ln2, patch_ln2_bias, pos_norm, pos_norm_bias, patch_dense_bias;
  Weight patch_dense;
  // Both
  Weight positions_x, positions_y;  ///< [positions, hidden]
  Weight embedding_projection;
};

struct Vision {
  VisionPlan plan;  ///< each layer's is in `layers`
  VisionWeights weights;
  VisionOps ops;
  std::vector<VisionLayer> layers;
};

/// The true ops: what transformers does.
VisionLayerOps vision_layer_ops();
/// @param encoder_free  those of gemma4_unified
VisionOps vision_ops(bool encoder_free);

}  // namespace assay::reference
