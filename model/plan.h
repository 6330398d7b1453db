// A checkpoint's config.json resolved to numbers, once. Whatever an engine branches on is a field here; no code asks
// for the name of a variant. Not here: reading JSON (config.h), weights (checkpoint.h), arithmetic.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/config.h"

namespace assay {

/// Rotary embedding of one layer. Lanes i and i + head_dim / 2 form pair i; frequency 0 leaves a pair as it is.
struct Rope {
  double theta = 0;
  std::vector<float> inv_freq;  ///< [head_dim / 2], as transformers' fp32 table has them

  bool operator==(const Rope&) const = default;
};

/// Which of the rows marked as image or video may see keys to their right.
enum class Blocks {
  causal,         ///< none: E2B, E4B
  inside_window,  ///< sliding layers: (causal or same block) and inside the window: 26B, 31B
  beyond_window,  ///< every layer: (causal and inside the window) or same block: 12B
};

enum class Activation { gelu_tanh, gelu_erf, silu, relu };

struct KvSource {
  enum Kind { own, earlier, target };
  Kind kind = own;
  /// Whose K/V is read: this layer (own), the donor (earlier), or the target's layer (drafters); -1 as long as no
  /// target is known (assistant.h, with_target).
  int layer = 0;

  bool operator==(const KvSource&) const = default;
};

struct Experts {
  int count = 0, used = 0, width = 0;

  bool operator==(const Experts&) const = default;
};

struct LayerPlan {
  int q_heads = 0, kv_heads = 0, head_dim = 0;
  KvSource kv;
  bool value_is_key = false;  ///< V is k_proj's output before k_norm and RoPE; the donor's where K/V are shared
  bool attention_bias = false;
  int window = 0;  ///< keys a query sees, itself included; 0 = all. Drafters see one more: their mask is inclusive
  Blocks blocks = Blocks::causal;
  Rope rope;
  int ffn_width = 0, ple_width = 0;  ///< ple_width 0: no per-layer embedding
  std::optional<Experts> experts;    ///< beside the dense FFN

  int q_width() const { return q_heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  bool operator==(const LayerPlan&) const = default;
};

/// One encoder layer of the vision tower.
struct VisionLayerPlan {
  int heads = 0, kv_heads = 0, head_dim = 0;
  Rope rope;  ///< of each half of a head, inv_freq [head_dim / 4]: the first half turns by x, the second by y
  int ffn_width = 0;
  bool clipped = false;  ///< linears clamp what goes in and what comes out

  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  bool operator==(const VisionLayerPlan&) const = default;
};

/// From the pixels of patches to soft tokens.
struct VisionPlan {
  bool encoder_free = false;  ///< gemma4_unified: each patch is a soft token; else a tower and pooling
  int patch_values = 0;       ///< 3 * side * side
  int hidden = 0;             ///< of a patch's row
  int positions = 0;          ///< rows of each axis' position table
  int pool = 0;               ///< a soft token stands for pool x pool patches; 1 where encoder_free
  float eps = 0;              ///< of RMS norms, the projector's included
  float layer_norm_eps = 0;   ///< of LayerNorms; encoder_free alone has some
  bool standardize = false;   ///< (pooled - bias) * scale
  Activation activation = Activation::gelu_tanh;
  std::vector<VisionLayerPlan> layers;

  bool operator==(const VisionPlan&) const = default;
};

/// One conformer block of the audio tower.
struct AudioLayerPlan {
  int heads = 0, head_dim = 0;
  int chunk = 0;             ///< queries of a block
  int past = 0, future = 0;  ///< keys of a block's context before and behind its queries
  float logit_cap = 0;       ///< softcap of the scores
  float invalid_logit = 0;   ///< what a masked score becomes
  int ffn_width = 0, kernel = 0;
  float residual_weight = 0;    ///< of a feed-forward's output
  float clamp = 0;              ///< bound on what enters norms ("gradient clipping")
  float eps = 0, conv_eps = 0;  ///< RMS norms of feed-forward and attention; of the convolution
  bool clipped = false;
  Activation activation = Activation::silu;

  int context() const { return chunk + past + future; }
  bool operator==(const AudioLayerPlan&) const = default;
};

/// From mel features, or raw samples, to soft tokens.
struct AudioPlan {
  bool encoder_free = false;   ///< gemma4_unified: each frame of samples is a soft token; else a conformer
  int features = 0;            ///< values of a frame; a tower also takes others that leave as many frequencies
  int channels[2] = {0, 0};    ///< of the two convolutions
  int frequencies = 0;         ///< what they leave of the mel bins
  int hidden = 0, output = 0;  ///< of a conformer's row; what the projector takes
  float eps = 0;               ///< of the subsampling's LayerNorms and the projector's RMS norm
  std::vector<AudioLayerPlan> layers;

  bool operator==(const AudioPlan&) const = default;
};

/// The ids at which soft tokens are merged.
struct Placeholders {
  std::optional<std::int64_t> image, video, audio;

  bool operator==(const Placeholders&) const = default;
};

struct Plan {
  int hidden = 0, vocab = 0;
  int ple_vocab = 0, ple_width = 0;
  float eps = 0;      ///< of every RMS norm
  float softcap = 0;  ///< of the logits; 0 = none
  bool tied_head = true;
  Activation activation = Activation::gelu_tanh;
  std::int64_t pad_id = 0;
  /// Placeholder ids whose rows take the pad token's embeddings until soft tokens are merged; empty for text-only
  /// models.
  std::vector<std::int64_t> placeholder_ids;
  Placeholders placeholders;  ///< the same by kind
  std::vector<LayerPlan> layers;
  std::optional<VisionPlan> vision;
  std::optional<AudioPlan> audio;
  std::optional<AssistantPlan> assistant;  ///< a drafter: it has neither embeddings of text nor K/V of its own

  bool operator==(const Plan&) const = default;
};

/// Errors: bad_input, naming the key that is missing, out of range or in contradiction with another; unsupported.
/// Source: Gemma4TextConfig, Gemma4VisionConfig, Gemma4AudioConfig, their Gemma4Unified forms and the modules'
/// constructors (transformers 5.22.2).
Result<Plan> make_plan(const Config& config);

/// transformers' fp32 table of one RoPE kind. pairs_rotated of head_dim / 2 pairs turn, the others have frequency 0;
/// the exponent's denominator is head_dim in either case. `factor` divides every frequency.
/// Source: Gemma4TextRotaryEmbedding.compute_default_rope_parameters, _compute_proportional_rope_parameters.
std::vector<float> inverse_frequencies(double theta, int head_dim, int pairs_rotated, double factor);

}  // namespace assay
