// The way from mel features, or raw samples, to soft tokens, taken apart: plan, weights and tables of ops, as vision.h
// has them for pixels. Not here: what the entries do (audio_blocks.h), their order (encode.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/rows.h"
#include "model/plan.h"
#include "reference/ops/clipped_linear.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"

namespace assay::reference {

struct Audio;
struct AudioLayer;

/// Clips of one padded length, one behind the other.
struct Frames {
  int clips = 0, length = 0;
  std::vector<char> real;  ///< [clips * length]

  int rows() const { return clips * length; }
  bool is_real(int clip, int frame) const { return real[std::size_t(clip * length + frame)] != 0; }
};

struct FeedForwardWeights {
  std::vector<float> pre_layer_norm, post_layer_norm;
  ClippedWeight ffw_layer_1, ffw_layer_2;
};

struct AudioLayerOps {
  // elementary
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<Grid(Rows<const float> x, const ClippedWeight& w)> linear;
  std::function<void(std::span<float> x, Activation activation)> activate;
  std::function<void(std::span<float> x, Bounds bounds)> clamp;
  // blocks; rows are frames. Each of the first three returns the residual after it.
  std::function<Grid(const AudioLayer&, const FeedForwardWeights&, Rows<const float> in)> feed_forward;
  std::function<Grid(const AudioLayer&, const Frames&, Rows<const float> in)> attention;
  std::function<Grid(const AudioLayer&, const Frames&, Rows<const float> in)> convolution;
  std::function<Grid(const AudioLayer&, Rows<const float> in)> norm_out;
  // inside the attention
  std::function<Grid(const AudioLayer&, Rows<const float> normed)> project_q;  ///< scaled
  std::function<Grid(const AudioLayer&, Rows<const float> normed)> project_k;  ///< scaled
  std::function<Grid(const AudioLayer&, Rows<const float> normed)> project_v;
  std::function<Grid(const AudioLayer&)> relative_keys;  ///< [context / 2 + 1, hidden], of the largest distance first
  /// What the relative keys add to the scores of a block's query: [context] from [context / 2 + 1] of every query of
  /// the block. @param products  [chunk, context / 2 + 1]
  std::function<void(const AudioLayerPlan&, Rows<const float> products, int query, std::span<float> bias)>
      relative_shift;
  std::function<bool(const AudioLayerPlan&, const Frames&, int clip, int query, int key)> visible;
  std::function<Grid(const AudioLayer&, const Frames&, Rows<const float> q, Rows<const float> k, Rows<const float> v)>
      attend;  ///< post's input
  // inside the convolution
  std::function<Grid(Rows<const float> x, const Weight& kernel)> convolve;
};

struct AudioOps {
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<void(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps)> layer_norm;
  std::function<void(std::span<float> x, Activation activation)> activate;
  std::function<Grid(Rows<const float> x, int channels, const Weight& kernel)> convolve;
  /// One of the two convolutions of all clips, mask, norm and activation included; `frames` becomes its output's.
  std::function<Grid(const Audio&, int index, Frames& frames, Rows<const float> x)> convolve_clips;
  std::function<Grid(const Audio&, Frames& frames, Rows<const float> mel)> subsample;
  std::function<Grid(const Audio&, Rows<const float> last)> output;
  /// Soft tokens of the rows that are real, [soft, text hidden].
  std::function<Grid(const Audio&, const Frames&, Rows<const float> encoded)> project;
};

/// By the names of Gemma4AudioLayer's parameters.
struct AudioLayerWeights {
  FeedForwardWeights feed_forward1, feed_forward2;
  std::vector<float> norm_pre_attn, norm_post_attn, norm_out;
  ClippedWeight q_proj, k_proj, v_proj, post;
  Weight relative_k_proj;
  std::vector<float> per_dim_scale;
  std::vector<float> conv_pre_layer_norm, conv_norm;
  ClippedWeight linear_start, linear_end;
  Weight depthwise_conv1d;  ///< [hidden, kernel]
};

struct AudioLayer {
  int index = 0;
  int hidden = 0;
  AudioLayerPlan plan;
  AudioLayerWeights weights;
  AudioLayerOps ops;
};

struct AudioWeights {
  Weight conv[2];  ///< [channels, channels before * 9]
  std::vector<float> conv_norm[2];
  Weight input_proj_linear, output_proj, embedding_projection;
  std::vector<float> output_bias;
};

struct Audio {
  AudioPlan plan;  ///< each layer's is in `layers`
  AudioWeights weights;
  AudioOps ops;
  std::vector<AudioLayer> layers;
};

/// The true ops: what transformers does.
AudioLayerOps audio_layer_ops();
AudioOps audio_ops();

}  // namespace assay::reference
