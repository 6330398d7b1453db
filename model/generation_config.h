// generation_config.json: how a checkpoint wants to be sampled, where it stops, what it must never say. Not here:
// choosing a token by it (harness/sample).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

struct GenerationConfig {
  bool do_sample = false;  ///< false: greedy
  double temperature = 1.0;
  int top_k = 64;                          ///< 0: off
  double top_p = 0.95;                     ///< 1: off
  std::vector<std::int64_t> stop_ids;      ///< each ends a text; empty: none does
  std::vector<std::int64_t> suppress_ids;  ///< never chosen, greedy or not
  std::optional<std::int64_t> bos_id, pad_id;
  std::optional<int> max_new_tokens;
  std::optional<int> max_length;        ///< prompt and answer; max_new_tokens goes before it
  std::optional<int> assistant_tokens;  ///< a drafter's: what it proposes a round (num_assistant_tokens)
  /// Keys whose values would change what transformers generates and which nothing here does (a repetition penalty...).
  std::vector<std::string> unapplied;
};

/// The text of a generation_config.json; `where` names it in errors. A key that is absent or null has transformers'
/// default: greedy, temperature 1, top-k 50, top-p 1, no stop token.
/// Errors: bad_input (not JSON, a wrong type, a value that transformers refuses).
/// Source: GenerationConfig, GenerationMixin._get_logits_processor (transformers 5.22.2).
Result<GenerationConfig> parse_generation_config(std::string_view text, const std::string& where);

/// The checkpoint's own. Where it has none: greedy, with the sampling values that Gemma 4 is published with kept ready,
/// and the eos_token_id, bos_token_id and pad_token_id of config.json (else of its text_config, else Gemma 4's own: 1,
/// 2, 0). Of a GGUF file: its eos, eot and eom tokens and, by their names, the two others that the published
/// generation_config.json stops at, its suppress_tokens; sampled where its general.sampling keys say how.
/// Errors: those of parse_generation_config; io; bad_input (config.json, a key of the GGUF).
Result<GenerationConfig> read_generation_config(const std::filesystem::path& checkpoint);

}  // namespace assay
