// From the pixels of patches to soft tokens: the tower, or gemma4_unified's embedder without one. Items (images, frames
// of videos) go through one at a time, without their padding. Not here: merging soft tokens (soft_tokens.h), which
// tensors bring pixels (media.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/cpu/loader.h"
#include "engine/cpu/pages.h"
#include "engine/cpu/tower.h"
#include "model/plan.h"

namespace assay::cpu {

/// By the names of Gemma4VisionEncoderLayer's parameters.
struct VisionLayerWeights {
  std::vector<float> input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
  Matrix q_proj, k_proj, v_proj, o_proj;
  std::vector<float> q_norm, k_norm;
  Matrix gate_proj, up_proj, down_proj;
};

struct VisionWeights {
  // A tower: Gemma4VisionPatchEmbedder, Gemma4VisionModel
  Matrix input_proj;
  std::vector<float> std_bias, std_scale;
  std::vector<VisionLayerWeights> layers;
  // Encoder-free: Gemma4UnifiedVisionEmbedder
  std::vector<float> patch_ln1, patch_ln1_bias, patch_ln2, patch_ln2_bias, pos_norm, pos_norm_bias;
  Matrix patch_dense;
  // Both
  Matrix positions;  ///< [2 * positions, hidden]; x's and y's rows lie as the checkpoint has them
  Matrix embedding_projection;
};

/// One image, or one frame of a video.
struct VisionItem {
  const float* pixels;                      ///< [length, patch_values]
  std::span<const std::int64_t> positions;  ///< [length, 2]: column, row; -1, -1 is padding
  int length;
  int first_patch, first_soft;  ///< its rows among those of all items
};

/// Taps of all items, by row space.
struct VisionTaps {
  TapSheet patches, soft;
};

class Vision {
 public:
  /// Failures of reading stay in the loader. Errors: unsupported (an op without a kernel).
  static Result<Vision> open(Loader& loader, const Plan& plan, const Options& options);

  /// Appends the item's soft tokens to `soft`, [.., text hidden]; returns how many there are.
  /// Source: Gemma4VisionModel.forward, Gemma4UnifiedVisionEmbedder.forward (transformers 5.22.2).
  int encode(const VisionItem& item, VisionTaps& taps, std::vector<float>& soft, OpClock* clock = nullptr);

 private:
  struct Buffers;
  struct Work;

  void embed(const Team& team, Work& work) const;
  void run_layer(const Team& team, Work& work, std::size_t index) const;
  void linear(const Team& team, std::string_view op, const Work& work, const float* x, int rows, int cols,
              const Matrix& w, float* y) const;
  std::vector<std::vector<std::int32_t>> cells(const VisionItem& item) const;

  VisionPlan plan_;
  int text_hidden_ = 0;
  Options options_;
  VisionWeights weights_;
  TowerKernels kernels_;
  OperandKernels operand_kernels_;
  kernels::spec::gather::Fn* gather_ = nullptr;
  Widths widths_;
  std::int64_t work_ = 0;
  Pages arena_;
};

}  // namespace assay::cpu
