// A text model with every kind of layer, large enough for several threads: sliding and full layers, K/V shared and own,
// experts, per-layer embeddings. And a small one with both towers.
#pragma once

#include "model/synthetic.h"

namespace assay::cpu {

constexpr int kTestWindow = 12;

inline Checkpoint test_checkpoint(SyntheticFormat format = SyntheticFormat::bf16) {
  const Config config = parse_config(R"({"model_type": "gemma4_text", "hidden_size": 256, "intermediate_size": 768,
      "vocab_size": 512, "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 128, "num_hidden_layers": 6,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "global_head_dim": 64, "sliding_window": 12,
      "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "sliding_attention", "full_attention",
      "sliding_attention", "sliding_attention", "full_attention"], "enable_moe_block": true, "num_experts": 8,
      "top_k_experts": 2, "moe_intermediate_size": 64, "final_logit_softcapping": 30.0})",
                                     "test")
                            .value();
  return synthetic_checkpoint(config, format, "test").value();
}

constexpr std::int64_t kTestImage = 300;  ///< the placeholder

inline Config media_config() {
  return parse_config(R"({"model_type": "gemma4", "image_token_id": 300, "audio_token_id": 301, "text_config":
      {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 256, "hidden_size_per_layer_input": 0,
      "vocab_size_per_layer_input": 256, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
      "head_dim": 32, "global_head_dim": 32, "sliding_window": 12}, "vision_config": {"hidden_size": 64,
      "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
      "head_dim": 32, "patch_size": 2, "position_embedding_size": 16}, "audio_config": {"hidden_size": 64,
      "num_attention_heads": 2, "num_hidden_layers": 1, "subsampling_conv_channels": [8, 4],
      "output_proj_dims": 32}})",
                      "test")
      .value();
}

inline Checkpoint media_checkpoint(const Config& config = media_config()) {
  return synthetic_checkpoint(config, SyntheticFormat::bf16, "test").value();
}

}  // namespace assay::cpu
