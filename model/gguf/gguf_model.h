// What a GGUF of Gemma 4's text model says, in the words of a HuggingFace checkpoint: the plan that its config.json
// gives, and its tensors by the names of Gemma4TextModel. Not here: towers (llama.cpp keeps them in a file of their
// own), drafters, split files; each is refused as unsupported. Source: what llama.cpp's converter writes and its loader
// reads for the architecture `gemma4`; PyPI's gguf 0.19 (MODEL_ARCH.GEMMA4, tensor_mapping.py).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/config.h"
#include "model/gguf/gguf.h"
#include "model/plan.h"

namespace assay {

struct GgufModel {
  Config config;  ///< of a gemma4_text model; feed-forward widths and RoPE factors stand in the plan alone
  Plan plan;      ///< tied_head, until whoever holds both tables has compared them
  std::map<std::string, GgufTensor, std::less<>> tensors;  ///< by name below the text model; others are left out
};

/// Errors: bad_input, naming the key or tensor that is missing, out of range or in contradiction with another;
/// unsupported (another architecture, one of several files, RoPE scaling).
Result<GgufModel> read_gguf_model(const Gguf& file);

/// `blk.3.attn_q.weight` -> `layers.3.self_attn.q_proj.weight`; none for a name that the text model does not have.
std::optional<std::string> text_model_name(std::string_view gguf_name);

}  // namespace assay
