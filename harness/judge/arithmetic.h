// What an engine says that it computes in, and what that costs transformers. Not here: what the judge allows for it
// (judge.h).
#pragma once

#include <optional>
#include <string_view>

#include "golden/store.h"

namespace assay {

/// `fp32`, `bf16`, `fp16`, `int8` (int8 activations over packed weights; an engine may call it by its weights, `q8_0`
/// or `q4_0`), each alone or with its cache: `fp32+kv=q8_0`. Caches are bf16, fp16 or q8_0.
struct Arithmetic {
  std::string_view acts, kv;  ///< kv is empty where the cache loses nothing that the activations do not lose

  /// nullopt for what nobody has measured.
  static std::optional<Arithmetic> parse(std::string_view text);
  /// Nothing is lost but the order of sums.
  bool is_fp32() const { return acts == "fp32" && kv.empty(); }
};

/// How far transformers moves on this tap when it computes so; nullopt where that was not measured. What activations
/// and cache lose is independent: their squares add. rms is 0 for fp32, whose mean nobody judges.
std::optional<Noise> noise(const GoldenTap& tap, const Arithmetic& arithmetic);

/// How far it moves the router's probabilities in a layer, whether the golden holds them or not; nullopt where that was
/// not measured.
std::optional<double> router_noise(const GoldenCase& golden, int layer, const Arithmetic& arithmetic);

}  // namespace assay
