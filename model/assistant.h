// What a drafter ("assistant") has beyond a text decoder: its target's width, its projections, its centroids, and whose
// K/V it reads. It has none of its own: every layer looks at the target's last layer of the same kind that has K/V.
// Not here: the text model inside it (config.h, plan.h), arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"

namespace assay {

struct Checkpoint;
struct Config;
struct ExpectedTensor;
struct Plan;

/// The keys of config.json beside text_config.
struct AssistantConfig {
  std::int64_t backbone_hidden_size = 0;  ///< hidden_size of the target
  bool use_ordered_embeddings = false;
  std::int64_t num_centroids = 0, centroid_intermediate_top_k = 0;
};

/// Ordered embeddings: the vocabulary in `count` clusters of one size; only tokens of the `used` nearest get a logit.
struct Centroids {
  int count = 0, used = 0;

  bool operator==(const Centroids&) const = default;
};

struct AssistantPlan {
  int backbone = 0;                    ///< hidden size of the target
  std::optional<Centroids> centroids;  ///< none: the dense head

  bool operator==(const AssistantPlan&) const = default;
};

/// Errors: bad_input (a vocabulary that the clusters do not divide, more clusters used than there are, keys that the
/// class refuses); unsupported (layers with K/V of their own).
/// Source: Gemma4AssistantConfig.validate_architecture, Gemma4AssistantMaskedEmbedder (transformers 5.22.2).
Result<AssistantPlan> make_assistant_plan(const Config& config);

/// The layer of a target whose K/V drafters read: the last of its kind that has its own; none where no layer has.
/// Source: Gemma4TextAttention.store_full_length_kv.
std::optional<int> layer_for_drafters(const Plan& target, bool sliding);

/// A drafter's plan with the layers of this target filled in.
/// Errors: bad_input, naming what does not fit: no drafter, another hidden size, a larger vocabulary, K/V of another
/// shape, or none of a kind.
Result<Plan> with_target(const Plan& drafter, const Plan& target);

/// Appends what a drafter's checkpoint holds beside the text model; its token_ordering is integer and not among them.
void add_assistant_tensors(const Plan& plan, std::vector<ExpectedTensor>& tensors);

/// That token_ordering is there where the plan needs it: [vocab] integers, each an id.
/// Errors: bad_input. Not asked: that it is a permutation; transformers computes with any.
Result<void> check_token_ordering(const Checkpoint& checkpoint);

/// Its name in a checkpoint.
inline constexpr const char* kTokenOrdering = "masked_embedding.token_ordering";

}  // namespace assay
