#include "reference/assistant.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <utility>

#include "reference/blocks.h"
#include "reference/ops/dot.h"
#include "reference/ops/linear.h"
#include "reference/parts.h"

namespace assay::reference {
namespace {

tl::unexpected<Failure> bad(std::string field, std::string expected, std::string found) {
  return fail({Failure::bad_input, "drafter", std::move(field), std::move(expected), std::move(found)});
}

/// A floating-point tensor of the call with this shape. Errors: bad_input.
Result<std::vector<float>> floats_of(const Forward& call, const std::string& name,
                                     const std::vector<std::int64_t>& shape) {
  const Tensor* tensor = find(call.more, name);
  if (tensor == nullptr) return bad(name, "a tensor of shape " + shape_text(shape), "none");
  if (tensor->shape != shape) return bad(name, "shape " + shape_text(shape), shape_text(tensor->shape));
  return tensor->floats();
}

std::string kv_name(bool sliding, std::string_view side) {
  return std::string("shared_kv_states/") + (sliding ? "sliding_attention/" : "full_attention/") + std::string(side);
}

/// Keys in a kind's shared_kv_states, without looking at anything else; nothing where they are not given.
std::optional<std::int64_t> given_keys(const Forward& call, bool sliding) {
  const Tensor* keys = find(call.more, kv_name(sliding, "key"));
  if (keys == nullptr || keys->shape.size() != 4) return std::nullopt;
  return keys->shape[2];
}

/// [B, heads, n, d] as rows [B * n, heads * d].
Grid by_token(std::span<const float> values, int batch, int heads, int keys, int head_dim) {
  Grid out(batch * keys, heads * head_dim);
  const float* from = values.data();
  for (int b = 0; b < batch; ++b)
    for (int head = 0; head < heads; ++head)
      for (int key = 0; key < keys; ++key, from += head_dim)
        std::copy_n(from, head_dim, out.row(b * keys + key).data() + std::ptrdiff_t(head) * head_dim);
  return out;
}

Result<KvCache> kv_given(const Forward& call, const LayerPlan& layer, bool sliding) {
  const int batch = call.ids.rows;
  const std::int64_t keys = given_keys(call, sliding).value_or(0);
  if (keys < 1 || keys > std::numeric_limits<int>::max() / std::max(1, layer.kv_width() * batch))
    return bad(kv_name(sliding, "key"), "[B, heads, keys, d] with at least one key, as there is no target",
               find(call.more, kv_name(sliding, "key")) == nullptr ? "none" : std::to_string(keys) + " keys");
  const std::vector<std::int64_t> shape{batch, layer.kv_heads, keys, layer.head_dim};
  ASSAY_TRY(k, floats_of(call, kv_name(sliding, "key"), shape));
  ASSAY_TRY(v, floats_of(call, kv_name(sliding, "value"), shape));
  KvCache cache;
  cache.reset(batch, layer.kv_width());
  cache.append(by_token(k, batch, layer.kv_heads, int(keys), layer.head_dim).view(),
               by_token(v, batch, layer.kv_heads, int(keys), layer.head_dim).view());
  return cache;
}

Result<KvCache> kv_of_target(const Parts& parts, const Forward& call, bool sliding) {
  const int batch = call.ids.rows;
  ASSAY_TRY(plan, with_target(parts.plan, call.target->plan()));
  const auto layer = std::find_if(plan.layers.begin(), plan.layers.end(),
                                  [&](const LayerPlan& one) { return (one.window > 0) == sliding; });
  ASSAY_TRY(cached, call.target->cached_kv(layer->kv.layer));
  if (int(cached.keys.size()) != batch || int(cached.values.size()) != batch)
    return bad("input_ids", std::to_string(cached.keys.size()) + " rows, as the target has cached",
               std::to_string(batch));
  const int keys = cached.keys.front().rows;
  Grid k(batch * keys, layer->kv_width()), v = k;
  for (std::size_t b = 0; b < cached.keys.size(); ++b)
    for (auto [to, from] : {std::pair(&k, &cached.keys[b]), std::pair(&v, &cached.values[b])}) {
      if (from->rows != keys || from->cols != to->cols)
        return bad("target", "keys and values [" + std::to_string(keys) + ", " + std::to_string(to->cols) + "]",
                   "[" + std::to_string(from->rows) + ", " + std::to_string(from->cols) + "]");
      std::ranges::copy(from->all(), to->view().slice(int(b) * keys, keys).data);
    }
  KvCache cache;
  cache.reset(batch, layer->kv_width());
  if (keys > 0) cache.append(k.view(), v.view());
  return cache;
}

}  // namespace

void visible_to_drafter(const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
  const int number = query - sequence.cached;
  for (int key = 0; key < sequence.keys(); ++key) {
    const int back = sequence.keys() - 1 - key;
    const bool inside = plan.window == 0 || std::abs(number - back) <= plan.window;
    seen[std::size_t(key)] = inside && sequence.real[sequence.at(row, key)];
  }
}

Result<Grid> assistant_inputs(const Parts& parts, const Forward& call) {
  const std::int64_t batch = call.ids.rows, tokens = call.ids.cols, backbone = parts.plan.assistant->backbone;
  Grid out(int(batch * tokens), int(2 * backbone));
  if (find(call.more, "inputs_embeds") != nullptr) {
    ASSAY_TRY(given, floats_of(call, "inputs_embeds", {batch, tokens, 2 * backbone}));
    out.values = std::move(given);
    return out;
  }
  if (call.target == nullptr) return bad("inputs_embeds", "it, or a target to embed input_ids", "neither");
  ASSAY_TRY(hidden, floats_of(call, "last_hidden_state", {batch, tokens, backbone}));
  ASSAY_TRY(embeds, call.target->embed(call.ids.all()));
  if (embeds.size() != hidden.size())
    return bad("target", "embeddings of " + std::to_string(backbone) + " values",
               std::to_string(embeds.size()) + " for " + std::to_string(batch * tokens) + " ids");
  for (int r = 0; r < out.rows; ++r) {
    const auto at = std::ptrdiff_t(r) * backbone;
    std::copy_n(embeds.begin() + at, backbone, out.row(r).begin());
    std::copy_n(hidden.begin() + at, backbone, out.row(r).begin() + backbone);
  }
  return out;
}

Result<std::vector<std::int64_t>> assistant_positions(const Parts&, const Forward& call) {
  const int batch = call.ids.rows, tokens = call.ids.cols;
  std::vector<std::int64_t> row(std::size_t(tokens), 0);
  std::iota(row.begin(), row.end(), 0);
  if (const Tensor* given = find(call.more, "position_ids"); given != nullptr) {
    const std::vector<std::int64_t> each{batch, tokens}, one{1, tokens};
    if (given->shape != each && given->shape != one)
      return bad("position_ids", shape_text(each), shape_text(given->shape));
    ASSAY_TRY(values, given->integers());
    row = std::move(values);
  }
  std::vector<std::int64_t> all = row;
  while (all.size() < std::size_t(batch) * std::size_t(tokens)) all.insert(all.end(), row.begin(), row.end());
  return all;
}

Result<SharedKv> shared_kv(const Parts& parts, const Forward& call, bool sliding) {
  SharedKv shared;
  if (call.target != nullptr) {
    ASSAY_TRY(kv, kv_of_target(parts, call, sliding));
    shared.kv = std::move(kv);
  } else {
    const auto layer = std::find_if(parts.plan.layers.begin(), parts.plan.layers.end(),
                                    [&](const LayerPlan& one) { return (one.window > 0) == sliding; });
    ASSAY_TRY(kv, kv_given(call, *layer, sliding));
    shared.kv = std::move(kv);
  }
  const int keys = shared.kv.length();
  if (keys < 1) return bad("target", "a target that has cached tokens", "none");
  Sequence& sequence = shared.sequence;
  sequence.batch = call.ids.rows;
  sequence.tokens = call.ids.cols;
  sequence.cached = keys - sequence.tokens;
  sequence.reuses_cache = true;
  sequence.real.assign(std::size_t(sequence.batch) * std::size_t(keys), 1);
  sequence.block.assign(sequence.real.size(), -1);
  sequence.pack.assign(sequence.real.size(), 0);
  ASSAY_TRY(positions, parts.assistant->ops.positions(parts, call));
  sequence.positions = std::move(positions);
  if (call.mask.empty()) return shared;
  // The target's full layers hold every key; what its mask says of later tokens is not of them.
  const int whole = call.target != nullptr ? keys : int(given_keys(call, false).value_or(call.mask.cols));
  if (call.mask.cols < whole || whole < keys)
    return bad("attention_mask", "[B, at least " + std::to_string(std::max(whole, keys)) + "], the target's keys",
               "[" + std::to_string(call.mask.rows) + ", " + std::to_string(call.mask.cols) + "]");
  for (int b = 0; b < sequence.batch; ++b)
    for (int key = 0; key < keys; ++key)
      sequence.real[sequence.at(b, key)] = call.mask.row(b)[std::size_t(whole - keys + key)] != 0;
  return shared;
}

Grid project_in(const Parts& parts, Rows<const float> inputs) {
  Grid x(inputs.rows, parts.plan.hidden);
  linear(inputs, parts.assistant->weights.pre_projection, {}, x.view());
  return x;
}

Grid assistant_state(const Parts& parts, Rows<const float> normed) {
  Grid y(normed.rows, parts.plan.assistant->backbone);
  linear(normed, parts.assistant->weights.post_projection, {}, y.view());
  return y;
}

std::vector<int> nearest_clusters(const Parts& parts, Rows<const float> normed) {
  const Centroids& plan = *parts.plan.assistant->centroids;
  Grid scores(normed.rows, plan.count);
  linear(normed, parts.assistant->weights.centroids, {}, scores.view());
  std::vector<int> nearest;
  for (int r = 0; r < scores.rows; ++r) {
    std::vector<int> order(std::size_t(plan.count), 0);
    std::iota(order.begin(), order.end(), 0);
    const auto nearer = [&](int a, int b) {
      const float one = scores.row(r)[std::size_t(a)], other = scores.row(r)[std::size_t(b)];
      return one != other ? one > other : a < b;
    };
    std::partial_sort(order.begin(), order.begin() + plan.used, order.end(), nearer);
    nearest.insert(nearest.end(), order.begin(), order.begin() + plan.used);
  }
  return nearest;
}

Grid ordered_logits(const Parts& parts, Rows<const float> normed, std::span<const int> clusters) {
  const Plan& plan = parts.plan;
  const int used = plan.assistant->centroids->used, size = plan.vocab / plan.assistant->centroids->count;
  const std::vector<std::int64_t>& ordering = parts.assistant->weights.token_ordering;
  std::vector<float> row(std::size_t(plan.hidden)), values;
  std::vector<std::int64_t> tokens;
  for (int r = 0; r < normed.rows; ++r)
    for (int c = 0; c < used; ++c) {
      const std::int64_t first = std::int64_t{clusters[std::size_t(r) * std::size_t(used) + std::size_t(c)]} * size;
      for (int i = 0; i < size; ++i) {
        tokens.push_back(ordering[std::size_t(first + i)]);
        parts.weights.lm_head.row(int(tokens.back()), row);
        values.push_back(dot(normed.row(r), row));
      }
    }
  Grid logits(normed.rows, plan.vocab);
  std::ranges::fill(logits.values, *std::ranges::min_element(values) - 1.0F);
  const std::size_t each = std::size_t(used) * std::size_t(size);
  for (std::size_t i = 0; i < tokens.size(); ++i) logits.row(int(i / each))[std::size_t(tokens[i])] = values[i];
  return logits;
}

AssistantOps assistant_ops() {
  return {.inputs = assistant_inputs,
          .project_in = project_in,
          .positions = assistant_positions,
          .shared = shared_kv,
          .state = assistant_state,
          .clusters = nearest_clusters,
          .ordered_logits = ordered_logits,
          .dense_logits = logits};
}

LayerOps assistant_layer_ops() {
  LayerOps ops = layer_ops();
  ops.visible = visible_to_drafter;
  // One cache a kind, the sliding one first: which layer of the target filled it is not this layer's affair.
  ops.source = [](const Layer& layer, const Sequence&, std::span<KvCache> caches, Rows<const float>) -> const KvCache& {
    return caches[layer.plan.window > 0 ? 0 : 1];
  };
  return ops;
}

Result<Assistant> assemble_assistant(const Checkpoint& checkpoint) {
  const Plan& plan = checkpoint.plan;
  const int backbone = plan.assistant->backbone;
  Assistant made{.weights = {}, .ops = assistant_ops()};
  ASSAY_TRY(pre, checkpoint.tensor("pre_projection.weight"));
  made.weights.pre_projection = {.tensor = std::move(pre), .rows = plan.hidden, .cols = 2 * backbone};
  ASSAY_TRY(post, checkpoint.tensor("post_projection.weight"));
  made.weights.post_projection = {.tensor = std::move(post), .rows = backbone, .cols = plan.hidden};
  if (!plan.assistant->centroids) return made;
  ASSAY_TRY(centroids, checkpoint.tensor("masked_embedding.centroids.weight"));
  made.weights.centroids = {
      .tensor = std::move(centroids), .rows = plan.assistant->centroids->count, .cols = plan.hidden};
  ASSAY_TRY(ordering, checkpoint.tensor(kTokenOrdering));
  ASSAY_TRY(ids, ordering.integers());
  made.weights.token_ordering = std::move(ids);
  return made;
}

}  // namespace assay::reference
