// A HuggingFace checkpoint directory (config.json; safetensors, single or sharded with an index) or a GGUF file: its
// layer plan, and the tensors of text decoder and towers under one set of names, whichever the files use.
// Memory-mapped. Not here: tokenizers.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/plan.h"
#include "model/tensor.h"

namespace assay {

struct Checkpoint {
  std::filesystem::path directory;  ///< or the GGUF file
  Config config;
  Plan plan;
  /// By name below the text model: `embed_tokens.weight`, `layers.3.self_attn.q_proj.weight`, `norm.weight`, and
  /// `lm_head.weight` where the head is not tied. Towers and projectors are below `model.`:
  /// `model.vision_tower.std_bias`. Whatever else there is keeps its name.
  std::map<std::string, Tensor, std::less<>> tensors;

  /// Opens a directory, or a GGUF file of a text model, and checks that every tensor the plan needs is there with its
  /// shape and a dtype that has floats: F32, F16, BF16; Q8_0, Q4_0, Q6_K; or I8 beside a one-element `..._scale`
  /// (compressed-tensors' `weight` and `weight_scale`). Weights stay mapped and packed. K/V weights of KV-shared layers
  /// may be there or not; a missing layer_scalar is 1; a tied head that differs from the embedding is not tied: as
  /// transformers loads them. Errors: io, bad_input, unsupported (a GGUF's tensor in another format, if the plan needs
  /// it); each names file and tensor.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  /// A tensor that `open` has checked. Errors: bad_input (no such tensor).
  Result<Tensor> tensor(std::string_view name) const;
};

/// A tensor that a plan needs, or that a checkpoint may carry beside what it needs.
struct ExpectedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};
/// Every tensor that `plan` needs: of the text decoder by its name below the text model, of towers by its full name.
/// Source: the parameters of Gemma4TextModel, Gemma4VisionModel, Gemma4AudioModel and the embedders as save_pretrained
/// writes them (transformers 5.22.2).
std::vector<ExpectedTensor> expected_tensors(const Plan& plan);

}  // namespace assay
