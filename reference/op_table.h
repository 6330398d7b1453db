// How the oracle reaches its ops and blocks: one table a layer and one for the model, so that a fault can replace any
// entry and the oracle itself asks no questions. Not here: what the entries do (blocks.h, ops/).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/rows.h"
#include "model/plan.h"
#include "reference/encode.h"
#include "reference/kv_cache.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"
#include "reference/sequence.h"

namespace assay::reference {

struct Layer;
struct Parts;

struct KeysValues {
  Grid k, v;
};

/// A layer's ops and blocks. Rows are the call's tokens, batch row by batch row.
struct LayerOps {
  // elementary: x [rows, cols] in place, or y from x
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<void(Rows<const float> x, const Weight& w, std::span<const float> bias, Rows<float> y)> linear;
  std::function<void(Rows<float> x, int head_dim, std::span<const std::int64_t> positions, const Rope& rope)> rope;
  std::function<void(std::span<float> x, Activation activation)> activate;

  // attention
  std::function<Grid(const Layer&, Rows<const float> in)> attn_norm;
  std::function<Grid(const Layer&, Rows<const float> normed)> project_q;         ///< after q_norm
  std::function<KeysValues(const Layer&, Rows<const float> normed)> project_kv;  ///< after k_norm and v_norm
  std::function<void(const Layer&, const Sequence&, Rows<float> q)> rotate_q;
  std::function<void(const Layer&, const Sequence&, Rows<float> k)> rotate_k;
  /// Puts a call's keys and values into the caches; `caches` is one a layer.
  std::function<void(const Layer&, const Sequence&, std::span<KvCache> caches, const KeysValues&)> append;
  /// The layer whose cache this one reads, given the layer's normed input.
  std::function<const KvCache&(const Layer&, const Sequence&, std::span<KvCache> caches, Rows<const float> normed)>
      source;
  std::function<void(const LayerPlan&, const Sequence&, int row, int query, std::span<char> seen)> visible;
  std::function<Grid(const Layer&, const Sequence&, Rows<const float> q, const KvCache& kv)>
      attend;  ///< o_proj's input
  std::function<Grid(const Layer&, Rows<const float> ctx)> project_out;
  std::function<Grid(const Layer&, Rows<const float> in, Rows<const float> attn_out)> add_attn;

  // feed-forward
  std::function<Grid(const Layer&, Rows<const float> post_attn)> ffn_norm;
  std::function<Grid(const Layer&, Rows<const float> ffn_norm)> mlp;
  std::function<Grid(const Layer&, Rows<const float> post_attn)> route;  ///< probabilities
  std::function<Grid(const Layer&, Rows<const float> probs)> choose;     ///< weights of the chosen, 0 elsewhere
  std::function<Grid(const Layer&, Rows<const float> post_attn, Rows<const float> chosen)> experts;
  std::function<Grid(const Layer&, Rows<const float> post_attn, Rows<const float> mlp, Rows<const float> experts)>
      add_ffn;

  // tail
  std::function<Grid(const Layer&, const Sequence&, Rows<const float> ple)> ple_slice;  ///< this layer's columns
  std::function<Grid(const Layer&, Rows<const float> post_ffn, Rows<const float> ple)> ple_branch;
  std::function<Grid(const Layer&, Rows<const float> post_ffn, Rows<const float> ple_out)> tail;
};

/// The model around its layers.
struct ModelOps {
  std::function<void(Rows<float> x, std::span<const float> weight, float eps)> rms_norm;
  std::function<Result<Sequence>(const Sequence& before, const Forward& call)> extend;
  std::function<Grid(const Parts&, std::span<const std::int64_t> ids)> embed;
  std::function<Result<SoftTokens>(const Parts&, std::span<const NamedTensor> media, TapSink&)> encode;
  std::function<Result<void>(const Parts&, std::span<const std::int64_t> ids, SoftTokens&, Rows<float> embeds)> merge;
  std::function<Grid(const Parts&, std::span<const std::int64_t> ids, Rows<const float> embeds)> ple_inputs;
  std::function<Grid(const Parts&, Rows<const float> last)> final_norm;
  std::function<Grid(const Parts&, Rows<const float> normed)> logits;
};

/// The true ops: what transformers does.
LayerOps layer_ops();
ModelOps model_ops();

}  // namespace assay::reference
