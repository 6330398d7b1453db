// Chooses the next token from a row of logits. Not here: where the settings come from (model/generation_config.h), when
// to stop, drafting.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "model/generation_config.h"

namespace assay {

/// A token that may be drawn, and how likely.
struct Candidate {
  std::int64_t id = 0;
  double probability = 0;
};

/// Suppressed tokens out; then the largest logit, or temperature, top-k, top-p, softmax and a draw: transformers' order
/// of processors and warpers, with their rules for ties. Top-k keeps every token as large as the k-th. Top-p sorts
/// upwards, the earlier id first where equal (torch leaves that to the machine; as many stay), and drops those whose
/// running sum stays at or below 1 - p; the largest is always kept. The draw: a 64-bit Mersenne Twister
/// (std::mt19937_64: the standard fixes its output) seeded with `seed`; one number a token, its upper 53 bits as a
/// fraction u of 2^53; the first candidate, in the order of ids, at which the running sum of probabilities exceeds u.
/// Not torch's generator: the same seed there gives another text. Source: SuppressTokensLogitsProcessor,
/// TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper (transformers 5.22.2).
class Sampler {
 public:
  Sampler(const GenerationConfig& config, std::uint64_t seed);

  /// The chosen id. Suppressed logits are set to -infinity in place. A NaN is never chosen. With nothing left to choose
  /// (a row of -infinity) it is 0.
  /// @param logits  [vocabulary], at least one
  std::int64_t next(std::span<float> logits);

  /// What may be drawn after the filters, in the order of ids; probabilities sum to 1. Greedy: the one.
  std::vector<Candidate> candidates(std::span<float> logits) const;

 private:
  bool sample_;
  float temperature_;
  std::size_t top_k_;  ///< 0: off
  double top_p_;
  std::vector<std::int64_t> suppressed_;
  std::mt19937_64 engine_;
};

}  // namespace assay
