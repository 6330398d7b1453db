// From mel features to soft tokens through the conformer, or from raw samples where there is none. Clips go through one
// at a time. Not here: merging soft tokens (soft_tokens.h), which tensors bring features (media.h).
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

struct FeedForwardWeights {
  std::vector<float> pre_layer_norm;
  std::vector<float> post_layer_norm;  ///< times the residual's weight
  Matrix ffw_layer_1, ffw_layer_2;
};

/// By the names of Gemma4AudioLayer's parameters.
struct AudioLayerWeights {
  FeedForwardWeights feed_forward1, feed_forward2;
  std::vector<float> norm_pre_attn, norm_post_attn, norm_out;
  Matrix q_proj, k_proj, v_proj, post;
  std::vector<float> q_scale, k_scale;  ///< [head_dim]
  std::vector<float> relative_keys;     ///< [context / 2 + 1, hidden], of the largest distance first
  std::vector<float> conv_pre_layer_norm, conv_norm;
  Matrix linear_start, linear_end;
  std::vector<float> depthwise_conv1d;  ///< [kernel, hidden]
};

struct AudioWeights {
  std::vector<float> conv[2];  ///< [3, 3, channels before, channels]
  std::vector<float> conv_norm[2];
  Matrix input_proj_linear, output_proj, embedding_projection;
  std::vector<AudioLayerWeights> layers;
};

struct AudioClip {
  const float* features;               ///< [length, features]
  std::span<const std::uint8_t> real;  ///< [length]
  int length, features_of_frame;
  int first_frame, first_encoded, first_soft;  ///< its rows among those of all clips
};

/// Taps of all clips, by row space.
struct AudioTaps {
  TapSheet frames, encoded, soft;
};

class Audio {
 public:
  /// Failures of reading stay in the loader. Errors: unsupported (an op without a kernel).
  static Result<Audio> open(Loader& loader, const Plan& plan, const Options& options);

  /// Appends the clip's soft tokens to `soft`, [.., text hidden]; returns how many there are.
  /// Source: Gemma4AudioModel.forward, Gemma4UnifiedModel.get_audio_features (transformers 5.22.2).
  int encode(const AudioClip& clip, AudioTaps& taps, std::vector<float>& soft, OpClock* clock = nullptr);

 private:
  struct Buffers;

  void subsample(const Team& team, const AudioClip& clip, const std::vector<std::uint8_t>& half,
                 const Buffers& b) const;
  void run_layer(const Team& team, const AudioClip& clip, const std::vector<std::uint8_t>& real, AudioTaps& taps,
                 const Buffers& b, std::size_t index) const;
  void feed_forward(const Team& team, const Buffers& b, int rows, const AudioLayerPlan& plan,
                    const FeedForwardWeights& w) const;
  void linear(const Team& team, std::string_view op, const Buffers& b, const float* x, int rows, const Matrix& w,
              float* y) const;

  AudioPlan plan_;
  int text_hidden_ = 0;
  Options options_;
  AudioWeights weights_;
  TowerKernels kernels_;
  OperandKernels operand_kernels_;
  Widths widths_;
  std::int64_t work_ = 0;
  Pages arena_;
};

}  // namespace assay::cpu
