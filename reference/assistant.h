// The oracle's drafter taken apart: what a drafter has beside decoder layers, as weights and a table of ops that a
// fault can replace. Its layers are the decoder's own (blocks.h) with two entries changed: whose K/V they read, and who
// sees whom. Not here: the order in which they run (assistant_session.h).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "model/checkpoint.h"
#include "reference/kv_cache.h"
#include "reference/op_table.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"
#include "reference/sequence.h"

namespace assay::reference {

struct Parts;

struct AssistantWeights {
  Weight pre_projection, post_projection;
  Weight centroids;                          ///< empty with the dense head
  std::vector<std::int64_t> token_ordering;  ///< [vocab]: cluster c holds entries c * size to (c + 1) * size
};

/// The K/V that layers of one kind read. In `sequence` they are all "cached", and the call's tokens are counted among
/// them though they are not there: keys() is the number of keys, and query t stands at keys() - tokens + t.
struct SharedKv {
  KvCache kv;
  Sequence sequence;
};

struct AssistantOps {
  /// What a token enters with: its embedding in the target, and the target's hidden state before it.
  /// [B * T, 2 * backbone]
  std::function<Result<Grid>(const Parts&, const Forward&)> inputs;
  std::function<Grid(const Parts&, Rows<const float> inputs)> project_in;  ///< [B * T, hidden]
  std::function<Result<std::vector<std::int64_t>>(const Parts&, const Forward&)> positions;
  /// Keys and values of the target's sliding or full layers, and which of them are padding.
  std::function<Result<SharedKv>(const Parts&, const Forward&, bool sliding)> shared;
  std::function<Grid(const Parts&, Rows<const float> normed)> state;  ///< [B * T, backbone]
  /// The clusters of the vocabulary whose tokens get a logit, [B * T, used], nearest first.
  std::function<std::vector<int>(const Parts&, Rows<const float> normed)> clusters;
  std::function<Grid(const Parts&, Rows<const float> normed, std::span<const int> clusters)> ordered_logits;
  std::function<Grid(const Parts&, Rows<const float> normed)> dense_logits;
};

struct Assistant {
  AssistantWeights weights;
  AssistantOps ops;
};

/// Errors: bad_input (a tensor that is not there, or not of integers).
Result<Assistant> assemble_assistant(const Checkpoint& checkpoint);
/// The true ops: what transformers does.
AssistantOps assistant_ops();
LayerOps assistant_layer_ops();

/// Marks the keys that a drafter's query sees: all of them on full layers; on sliding ones the last window + 1, one
/// more than the target's, because the mask is inclusive and the query's own key is not among them. Padding is never
/// seen. Source: Gemma4AssistantForCausalLM.create_attention_masks: distance from the query's number, counted from the
/// last key back, at most sliding_window.
void visible_to_drafter(const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen);

/// From the call's inputs_embeds, or the target's embedding of ids beside last_hidden_state.
/// Errors of this and the next two: bad_input (something missing, or of a wrong shape); those of the target.
/// Source: SinglePositionMultiTokenCandidateGenerator.get_candidates (transformers 5.22.2).
Result<Grid> assistant_inputs(const Parts& parts, const Forward& call);
/// position_ids [B, T], or [1, T] for every row; 0 to T - 1 if they are not given.
Result<std::vector<std::int64_t>> assistant_positions(const Parts& parts, const Forward& call);
/// From the target's cache, or shared_kv_states/KIND/key and value [B, heads, keys, d]. The mask holds for the full
/// layers' keys; the sliding ones' are the last of those.
Result<SharedKv> shared_kv(const Parts& parts, const Forward& call, bool sliding);
/// Source of these: Gemma4AssistantForCausalLM.forward.
Grid project_in(const Parts& parts, Rows<const float> inputs);
Grid assistant_state(const Parts& parts, Rows<const float> normed);
/// Source of this and the next: Gemma4AssistantMaskedEmbedder.forward. The lower index wins ties.
std::vector<int> nearest_clusters(const Parts& parts, Rows<const float> normed);
/// The head's product for tokens of those clusters; every other token gets the smallest of them in the whole batch,
/// less 1.
Grid ordered_logits(const Parts& parts, Rows<const float> normed, std::span<const int> clusters);

}  // namespace assay::reference
