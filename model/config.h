// config.json of a Gemma 4 checkpoint as written, both spellings brought to one: the hub's (`global_head_dim`,
// `num_global_key_value_heads`) and that of transformers 5.22 and later (`per_layer_config`). Checked key by key; what
// the keys mean together is plan.h. Not here: drafters, generation settings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/assistant.h"

namespace assay {

enum class AttentionKind { sliding, full };

/// rope_parameters of one attention kind.
struct RopeConfig {
  std::string type;  ///< default, proportional or linear
  double theta = 0;
  double partial_rotary_factor = 1;
  double factor = 1;
};

/// vision_config: of a gemma4 tower, or of gemma4_unified's embedder, which reads the keys of its block alone.
struct VisionConfig {
  std::int64_t patch_size = 0, pooling_kernel_size = 0;
  double rms_norm_eps = 0;
  // gemma4
  std::int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0, position_embedding_size = 0;
  std::string hidden_activation;
  double rope_theta = 0;
  bool use_clipped_linears = false, standardize = false;
  // gemma4_unified
  std::int64_t mm_embed_dim = 0, mm_posemb_size = 0;
  // both: the width that the projector takes
  std::int64_t output_proj_dims = 0;
};

/// audio_config: likewise.
struct AudioConfig {
  double rms_norm_eps = 0;
  std::int64_t output_proj_dims = 0;
  // gemma4
  std::int64_t hidden_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  std::int64_t subsampling_conv_channels[2] = {0, 0};
  std::int64_t conv_kernel_size = 0, attention_chunk_size = 0, attention_context_left = 0, attention_context_right = 0;
  double attention_logit_cap = 0, attention_invalid_logits_value = 0, residual_weight = 0, gradient_clipping = 0;
  std::string hidden_act;
  bool use_clipped_linears = true;
  // gemma4_unified
  std::int64_t audio_embed_dim = 0;
};

struct Config {
  std::string where;       ///< the file, for messages
  std::string model_type;  ///< gemma4, gemma4_text, gemma4_assistant; the same with gemma4_unified
  bool unified = false;
  bool multimodal = false;  ///< gemma4, gemma4_unified: the wrapper; else the text model alone
  std::string prefix;       ///< of the text model's keys, for messages: `text_config.`, or nothing
  std::int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  std::int64_t num_hidden_layers = 0, num_attention_heads = 0;
  std::vector<AttentionKind> layer_types;         ///< one a layer; the last is full, as transformers forces it
  std::vector<std::int64_t> head_dim;             ///< one a layer
  std::vector<std::int64_t> num_key_value_heads;  ///< one a layer
  std::int64_t sliding_window = 0;
  double rms_norm_eps = 0;
  std::string hidden_activation;
  std::optional<double> final_logit_softcapping;
  RopeConfig rope_sliding, rope_full;  ///< as read only where a layer of that kind exists
  bool attention_k_eq_v = false, attention_bias = false, tie_word_embeddings = true, use_double_wide_mlp = false;
  bool enable_moe_block = false;
  std::int64_t num_kv_shared_layers = 0;
  std::optional<std::string> use_bidirectional_attention;  ///< absent or "vision"
  std::int64_t hidden_size_per_layer_input = 0, vocab_size_per_layer_input = 0;
  std::int64_t num_experts = 0, top_k_experts = 0, moe_intermediate_size = 0;
  std::int64_t pad_token_id = 0;
  /// Of the multimodal wrapper; absent in text-only configs.
  std::optional<std::int64_t> image_token_id, video_token_id, audio_token_id;
  std::optional<AssistantConfig> assistant;  ///< drafters; then every layer is KV-shared
  std::optional<VisionConfig> vision;
  std::optional<AudioConfig> audio;
};

/// Errors: io; bad_input (not JSON, a key of the wrong type or out of range); unsupported (another model_type).
Result<Config> read_config(const std::filesystem::path& file);
/// The same from text; `where` names it in messages.
Result<Config> parse_config(std::string_view json, std::string where);

}  // namespace assay
