// The oracle taken apart: plan, weights and a table of ops for each layer, and the same for the model around them. A
// Session is made of Parts; a fault bends them first. Not here: running them (session.h).
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"
#include "reference/assistant.h"
#include "reference/audio.h"
#include "reference/op_table.h"
#include "reference/ops/weight.h"
#include "reference/vision.h"

namespace assay::reference {

/// By the names of Gemma4TextDecoderLayer's parameters; what a layer does not have is empty.
struct LayerWeights {
  std::vector<float> input_layernorm, post_attention_layernorm, pre_feedforward_layernorm, post_feedforward_layernorm;
  Weight q_proj, k_proj, v_proj, o_proj;
  std::vector<float> q_bias, k_bias, v_bias, o_bias;
  std::vector<float> q_norm, k_norm;
  Weight gate_proj, up_proj, down_proj;
  Weight per_layer_input_gate, per_layer_projection;
  std::vector<float> post_per_layer_input_norm;
  std::vector<float> router_scale, per_expert_scale;
  Weight router_proj;
  Weight experts_gate_up, experts_down;  ///< of expert 0; part(e) is expert e's
  std::vector<float> post_feedforward_layernorm_1, pre_feedforward_layernorm_2, post_feedforward_layernorm_2;
  float layer_scalar = 1;
};

struct Layer {
  int index = 0;
  int hidden = 0;
  float eps = 0;
  Activation activation = Activation::gelu_tanh;
  LayerPlan plan;
  LayerWeights weights;
  LayerOps ops;
};

struct ModelWeights {
  Weight embed_tokens, embed_tokens_per_layer, per_layer_model_projection,
      lm_head;  ///< lm_head: embed_tokens where tied
  std::vector<float> per_layer_projection_norm, norm;
};

struct Parts {
  Plan plan;  ///< of the model; each layer's plan is in `layers`, where faults bend it
  ModelWeights weights;
  ModelOps ops;
  std::vector<Layer> layers;
  std::optional<Assistant> assistant;  ///< drafters
  std::optional<Vision> vision;
  std::optional<Audio> audio;
};

/// Errors: bad_input (a tensor that is not there).
Result<Parts> assemble(const Checkpoint& checkpoint);

}  // namespace assay::reference
