// A text model with every kind of layer, large enough for several threads: sliding and full layers, K/V shared and own,
// experts, per-layer embeddings.
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

}  // namespace assay::cpu
