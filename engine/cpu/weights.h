// The text decoder's weights, by the names of Gemma4TextDecoderLayer's parameters; what a layer does not have is empty.
// Not here: the layers' numbers (model/plan.h), the towers' weights (vision.h, audio.h).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/cpu/loader.h"
#include "engine/cpu/matrix.h"
#include "model/plan.h"

namespace assay::cpu {

struct LayerWeights {
  std::vector<float> input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
  Matrix q_proj, k_proj, v_proj, o_proj;
  std::vector<float> q_norm, k_norm;
  Matrix gate_proj, up_proj, down_proj;
  Matrix per_layer_input_gate, per_layer_projection;
  std::vector<float> post_per_layer_input_norm;
  std::vector<float> router_scale;  ///< times hidden^-0.5
  std::vector<float> per_expert_scale;
  Matrix router_proj;
  Matrix experts_gate_up, experts_down;  ///< of expert 0; part(e) is expert e's
  std::vector<float> post_feedforward_layernorm_1, pre_feedforward_layernorm_2, post_feedforward_layernorm_2;
  float layer_scalar = 1;
};

struct TextWeights {
  Matrix embed_tokens, embed_tokens_per_layer, per_layer_model_projection;
  Matrix lm_head;  ///< embed_tokens where tied
  std::vector<float> per_layer_projection_norm, norm;
};

/// Those that every token is multiplied by. Not experts: a token reads a few of them.
std::vector<Matrix*> dense_matrices(std::vector<LayerWeights>& layers);
/// Multiply-adds of a token and a layer's op, on average.
std::int64_t work_of_an_op(const std::vector<LayerWeights>& layers);
/// Failures of this and the next stay in the loader.
std::vector<LayerWeights> load_layers(Loader& loader, const Plan& plan);
TextWeights load_text(Loader& loader, const Plan& plan);

}  // namespace assay::cpu
