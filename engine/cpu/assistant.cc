#include "engine/cpu/assistant.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "engine/cpu/session.h"
#include "model/assistant.h"

namespace assay::cpu {
namespace {

constexpr std::array<std::string_view, 7> kInputs = {"inputs_embeds",
                                                     "last_hidden_state",
                                                     "position_ids",
                                                     "shared_kv_states/full_attention/key",
                                                     "shared_kv_states/full_attention/value",
                                                     "shared_kv_states/sliding_attention/key",
                                                     "shared_kv_states/sliding_attention/value"};

constexpr LayerTaps kAssistantTaps = {.attn_norm = Tap::assistant_attn_norm,
                                      .attn_q = Tap::assistant_attn_q,
                                      .attn_q_rope = Tap::assistant_attn_q_rope,
                                      .attn_ctx = Tap::assistant_attn_ctx,
                                      .attn_out = Tap::assistant_attn_out,
                                      .post_attn = Tap::assistant_post_attn,
                                      .ffn_norm = Tap::assistant_ffn_norm,
                                      .mlp = Tap::assistant_mlp,
                                      .post_ffn = Tap::assistant_post_ffn,
                                      .out = Tap::assistant_out};

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

}  // namespace

Result<std::unique_ptr<AssistantSession>> AssistantSession::open(const Checkpoint& checkpoint, const Options& options) {
  const Plan& plan = checkpoint.plan;
  const int backbone = plan.assistant->backbone;
  Loader loader(checkpoint, options.acts);
  TextWeights text = load_text(loader, plan);
  std::vector<LayerWeights> layer_weights = load_layers(loader, plan);
  AssistantWeights weights;
  weights.pre_projection = loader.matrix("pre_projection.weight", plan.hidden, 2 * backbone);
  weights.post_projection = loader.matrix("post_projection.weight", backbone, plan.hidden);
  if (plan.assistant->centroids) {
    weights.centroids =
        loader.matrix("masked_embedding.centroids.weight", plan.assistant->centroids->count, plan.hidden);
    ASSAY_TRY(ordering, checkpoint.tensor(kTokenOrdering));
    ASSAY_TRY(ids, ordering.integers());
    weights.token_ordering = std::move(ids);
  }
  ASSAY_CHECK(loader.finish());
  ASSAY_TRY(layers, Layers::make(plan, std::move(layer_weights), loader.widths(), options));
  return std::unique_ptr<AssistantSession>(
      new AssistantSession(plan, std::move(text), std::move(weights), std::move(layers)));
}

/// From the call's inputs_embeds, or the target's embedding of ids beside last_hidden_state: [B * T, 2 * backbone].
/// Source: SinglePositionMultiTokenCandidateGenerator.get_candidates (transformers 5.22.2).
Result<std::vector<float>> AssistantSession::inputs(const Forward& call) const {
  const std::int64_t batch = call.ids.rows, tokens = call.ids.cols, backbone = plan().assistant->backbone;
  if (find(call.more, "inputs_embeds") != nullptr)
    return floats_of(call, "inputs_embeds", {batch, tokens, 2 * backbone});
  if (call.target == nullptr) return bad("inputs_embeds", "it, or a target to embed input_ids", "neither");
  ASSAY_TRY(hidden, floats_of(call, "last_hidden_state", {batch, tokens, backbone}));
  ASSAY_TRY(embeds, call.target->embed(call.ids.all()));
  if (embeds.size() != hidden.size())
    return bad("target", "embeddings of " + std::to_string(backbone) + " values",
               std::to_string(embeds.size()) + " for " + std::to_string(batch * tokens) + " ids");
  std::vector<float> both;
  both.reserve(2 * hidden.size());
  for (auto embed = embeds.begin(), state = hidden.begin(); state != hidden.end();
       embed += backbone, state += backbone) {
    both.insert(both.end(), embed, embed + backbone);
    both.insert(both.end(), state, state + backbone);
  }
  return both;
}

/// position_ids [B, T], or [1, T] for every row; 0 to T - 1 if they are not given.
Result<std::vector<std::int64_t>> AssistantSession::positions(const Forward& call) const {
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

bool AssistantSession::has_kind(bool sliding) const {
  return std::ranges::any_of(plan().layers, [&](const LayerPlan& layer) { return (layer.window > 0) == sliding; });
}

KvCache& AssistantSession::own_cache(bool sliding, int batch, int width, int length) {
  KvCache& cache = own_[sliding ? 1 : 0];
  cache = KvCache(width, 0, layers_.options().kv, layers_.kernels().to_bf16);
  cache.reset(batch);
  cache.reserve(length, 1);
  return cache;
}

Result<void> AssistantSession::keys_of_target(const Forward& call, bool sliding, Keys& keys) {
  const int batch = call.ids.rows;
  ASSAY_TRY(with, with_target(plan(), call.target->plan()));
  const auto layer =
      std::ranges::find_if(with.layers, [&](const LayerPlan& one) { return (one.window > 0) == sliding; });
  const auto* const ours = dynamic_cast<const TextSession*>(call.target);
  if (ours != nullptr && ours->memory().sequence.batch() == batch &&
      ours->memory().caches[std::size_t(layer->kv.layer)].format() == layers_.options().kv) {
    const Sequence& sequence = ours->memory().sequence;
    keys.total = sequence.keys();
    keys.cache[sliding ? 1 : 0] = &ours->memory().caches[std::size_t(layer->kv.layer)];
    keys.shift.clear();
    for (int b = 0; b < batch; ++b) keys.shift.push_back(sequence.row(b).shift);
    return {};
  }
  ASSAY_TRY(cached, call.target->cached_kv(layer->kv.layer));
  if (int(cached.keys.size()) != batch || int(cached.values.size()) != batch)
    return bad("input_ids", std::to_string(cached.keys.size()) + " rows, as the target has cached",
               std::to_string(batch));
  keys.total = cached.keys.front().rows;
  KvCache& cache = own_cache(sliding, batch, layer->kv_width(), keys.total);
  for (int b = 0; b < batch; ++b) {
    const Rows<const float> k = cached.keys[std::size_t(b)], v = cached.values[std::size_t(b)];
    for (const Rows<const float>& rows : {k, v})
      if (rows.rows != keys.total || rows.cols != cache.width())
        return bad("target",
                   "keys and values [" + std::to_string(keys.total) + ", " + std::to_string(cache.width()) + "]",
                   "[" + std::to_string(rows.rows) + ", " + std::to_string(rows.cols) + "]");
    for (int key = 0; key < keys.total; ++key) cache.store(b, key, k.row(key).data(), v.row(key).data());
  }
  keys.cache[sliding ? 1 : 0] = &cache;
  return {};
}

/// shared_kv_states/KIND/key and value [B, heads, keys, d]; keys.total is known.
Result<void> AssistantSession::keys_given(const Forward& call, bool sliding, Keys& keys) {
  const auto layer =
      std::ranges::find_if(plan().layers, [&](const LayerPlan& one) { return (one.window > 0) == sliding; });
  const Tensor* const given = find(call.more, kv_name(sliding, "key"));
  const int batch = call.ids.rows, heads = layer->kv_heads, d = layer->head_dim;
  const std::int64_t count = given->shape[2];
  const std::vector<std::int64_t> shape{batch, heads, count, d};
  ASSAY_TRY(k, floats_of(call, kv_name(sliding, "key"), shape));
  ASSAY_TRY(v, floats_of(call, kv_name(sliding, "value"), shape));
  keys.from[sliding ? 1 : 0] = keys.total - int(count);
  KvCache& cache = own_cache(sliding, batch, layer->kv_width(), keys.total);
  std::vector<float> key_row(std::size_t(layer->kv_width())), value_row(key_row.size());
  for (int b = 0; b < batch; ++b)
    for (int key = 0; key < int(count); ++key) {
      for (int head = 0; head < heads; ++head) {
        const std::ptrdiff_t at = ((std::ptrdiff_t(b) * heads + head) * count + key) * d;
        std::copy_n(k.begin() + at, d, key_row.begin() + std::ptrdiff_t(head) * d);
        std::copy_n(v.begin() + at, d, value_row.begin() + std::ptrdiff_t(head) * d);
      }
      cache.store(b, keys.total - int(count) + key, key_row.data(), value_row.data());
    }
  keys.cache[sliding ? 1 : 0] = &cache;
  return {};
}

/// The mask holds for the full layers' keys; what it says of later tokens than the target has is not of them.
Result<void> AssistantSession::mask_keys(const Forward& call, Keys& keys) const {
  if (call.mask.empty()) return {};
  if (call.mask.cols < keys.total)
    return bad("attention_mask", "[B, at least " + std::to_string(keys.total) + "], the target's keys",
               "[" + std::to_string(call.mask.rows) + ", " + std::to_string(call.mask.cols) + "]");
  for (int b = 0; b < call.ids.rows; ++b) {
    const std::span<const std::int64_t> row = call.mask.row(b);
    std::vector<std::uint8_t>& real = keys.real.emplace_back();
    for (int key = keys.shift[std::size_t(b)]; key < keys.total; ++key) real.push_back(row[std::size_t(key)] != 0);
  }
  return {};
}

Result<AssistantSession::Keys> AssistantSession::keys(const Forward& call) {
  Keys keys;
  keys.shift.assign(std::size_t(call.ids.rows), 0);
  while (own_.size() < 2) own_.emplace_back(0, 0, layers_.options().kv, layers_.kernels().to_bf16);
  if (call.target == nullptr) {
    const auto most = std::int64_t{std::numeric_limits<int>::max()} / std::max(1, call.ids.rows);
    std::int64_t of_full = call.mask.cols;
    for (const bool sliding : {true, false}) {
      if (!has_kind(sliding)) continue;
      const Tensor* const given = find(call.more, kv_name(sliding, "key"));
      const std::int64_t count = given != nullptr && given->shape.size() == 4 ? given->shape[2] : 0;
      const auto layer =
          std::ranges::find_if(plan().layers, [&](const LayerPlan& one) { return (one.window > 0) == sliding; });
      if (count < 1 || count > most / std::max(1, layer->kv_width()))
        return bad(kv_name(sliding, "key"), "[B, heads, keys, d] with at least one key, as there is no target",
                   given == nullptr ? "none" : std::to_string(count) + " keys");
      if (!sliding) of_full = count;
      keys.total = std::max(keys.total, int(count));
    }
    if (!call.mask.empty() && of_full < keys.total)
      return bad("attention_mask", "[B, at least " + std::to_string(keys.total) + "], the target's keys",
                 "[" + std::to_string(call.mask.rows) + ", " + std::to_string(call.mask.cols) + "]");
    if (!call.mask.empty()) keys.total = int(of_full);  // the sliding layers' keys are the last of these
  }
  for (const bool sliding : {true, false})
    if (has_kind(sliding))
      ASSAY_CHECK(call.target != nullptr ? keys_of_target(call, sliding, keys) : keys_given(call, sliding, keys));
  if (keys.total < 1) return bad("target", "a target that has cached tokens", "none");
  ASSAY_CHECK(mask_keys(call, keys));
  return keys;
}

Result<void> AssistantSession::do_forward(const Forward& call, TapSink& taps) {
  for (const NamedTensor& tensor : call.more)
    if (std::ranges::find(kInputs, tensor.name) == kInputs.end())
      return fail({Failure::unsupported, "cpu", tensor.name, "an input of a drafter", ""});
  ASSAY_TRY(entering, inputs(call));
  ASSAY_TRY(keys, this->keys(call));
  ASSAY_TRY(positions, this->positions(call));

  const int batch = call.ids.rows, tokens = call.ids.cols, rows = batch * tokens, hidden = plan().hidden;
  layers_.plan_rows(std::size_t(rows));
  layers_.plan_keys(batch, keys.total);
  const TextBuffers& buffers = layers_.buffers();
  TapSheet sheet(taps, batch, tokens);
  std::vector<const KvCache*> reads;
  for (const LayerPlan& layer : plan().layers) reads.push_back(keys.cache[layer.window > 0 ? 1 : 0]);
  std::vector<const std::uint8_t*> masks(std::size_t(batch), nullptr);
  for (std::size_t b = 0; b < keys.real.size(); ++b) masks[b] = keys.real[b].data();
  const std::array units{tokens};
  const bool ordered = plan().assistant->centroids.has_value();
  const bool wants_state = taps.wants(Tap::assistant_state, -1), wants_logits = taps.wants(Tap::assistant_logits, -1);
  std::vector<float> state(wants_state ? std::size_t(rows) * std::size_t(plan().assistant->backbone) : 0);
  std::vector<float> logits(wants_logits ? std::size_t(rows) * std::size_t(plan().vocab) : 0);
  std::vector<float> scores(ordered ? std::size_t(rows) * std::size_t(plan().assistant->centroids->count) : 0);
  std::vector<std::int64_t> nearest;

  with_team(layers_.options().threads, layers_.work() * rows, nullptr, [&](const Team& team) {
    layers_.fill_tables(
        team, batch, tokens, [&](int b, int t) { return positions[std::size_t(b * tokens + t)]; },
        [&](const LayerKinds::View& view, int b, int t) {
          // Keys are counted from the last back; a sliding layer sees those at most `window` from the token's number,
          // which is one more than its target's. Source: Gemma4AssistantForCausalLM.create_attention_masks.
          const int shift = keys.shift[std::size_t(b)], first = keys.from[view.window > 0 ? 1 : 0];
          if (view.window == 0) return KeyRange{std::max(0, first - shift), keys.total - shift};
          return KeyRange{std::max({0, first - shift, keys.total - 1 - t - view.window - shift}),
                          keys.total - std::max(0, t - view.window) - shift};
        });
    const Product in{&weights_.pre_projection, buffers.x, hidden};
    multiply(team, "assistant.in", buffers.operands, entering.data(), rows, 2 * plan().assistant->backbone, {&in, 1});
    if (taps.wants(Tap::assistant_in, -1))
      team.one([&] { taps.take({Tap::assistant_in, -1}, {buffers.x, rows, hidden}); });
    Passage passage{.sheet = sheet,
                    .taps = kAssistantTaps,
                    .batch = batch,
                    .piece = {0, tokens, units},
                    .needed_first = 0,
                    .reads = reads,
                    .writes = {},
                    .sequence = nullptr,
                    .masks = masks};
    layers_.run(team, passage);
    const Team::Part part = team.split(rows);
    if (part.first < part.last)
      layers_.kernels().rms_norm(buffers.x, text_.norm.data(), plan().eps, hidden, buffers.normed, part.first,
                                 part.last);
    team.sync();
    if (taps.wants(Tap::assistant_norm, -1))
      team.one([&] { taps.take({Tap::assistant_norm, -1}, {buffers.normed, rows, hidden}); });
    if (wants_state) {
      const Product out{&weights_.post_projection, state.data(), plan().assistant->backbone};
      multiply(team, "assistant.state", buffers.operands, buffers.normed, rows, hidden, {&out, 1});
      team.one([&] { taps.take({Tap::assistant_state, -1}, {state.data(), rows, plan().assistant->backbone}); });
    }
    if (!wants_logits) return;
    if (ordered) {
      ordered_logits(team, rows, scores, nearest, logits);
    } else {
      const Product head{&text_.lm_head, logits.data(), plan().vocab};
      multiply(team, "head", buffers.operands, buffers.normed, rows, hidden, {&head, 1});
      if (plan().softcap > 0)
        for (int r = part.first; r < part.last; ++r)
          layers_.kernels().softcap(logits.data(), plan().softcap, plan().vocab, logits.data(), r, r + 1);
      team.sync();
    }
    team.one([&] { taps.take({Tap::assistant_logits, -1}, {logits.data(), rows, plan().vocab}); });
  });
  return {};
}

/// The head's product for tokens of the nearest clusters (the lower index wins ties); every other token gets the
/// smallest of them in the whole batch, less 1. Source: Gemma4AssistantMaskedEmbedder.forward (transformers 5.22.2).
void AssistantSession::ordered_logits(const Team& team, int rows, std::vector<float>& scores,
                                      std::vector<std::int64_t>& tokens, std::vector<float>& logits) const {
  const int count = plan().assistant->centroids->count, used = plan().assistant->centroids->used;
  const std::size_t size = std::size_t(plan().vocab / count), each = std::size_t(used) * size;
  const TextBuffers& buffers = layers_.buffers();
  const Product product{&weights_.centroids, scores.data(), count};
  multiply(team, "centroids", buffers.operands, buffers.normed, rows, plan().hidden, {&product, 1});
  team.one([&] {
    std::vector<int> order(std::size_t(count), 0);
    for (int r = 0; r < rows; ++r) {
      const float* const row = scores.data() + std::ptrdiff_t(r) * count;
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + used, order.end(),
                        [&](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
      for (int i = 0; i < used; ++i) {
        const auto first =
            weights_.token_ordering.begin() + std::ptrdiff_t(order[std::size_t(i)]) * std::ptrdiff_t(size);
        tokens.insert(tokens.end(), first, first + std::ptrdiff_t(size));
      }
    }
  });
  const Matrix& head = text_.lm_head;
  for (int r = 0; r < rows; ++r) {
    const kernels::Activations x =
        narrow(team, buffers.operands, head.acts, buffers.normed + std::ptrdiff_t(r) * plan().hidden, 1, plan().hidden);
    const Team::Part part = team.split(int(each));
    for (std::size_t i = std::size_t(r) * each + std::size_t(part.first);
         i < std::size_t(r) * each + std::size_t(part.last); ++i)
      head.gemv(head.w, x, logits.data() + std::ptrdiff_t(r) * plan().vocab, int(tokens[i]), int(tokens[i]) + 1);
    team.sync();
  }
  team.one([&] {
    std::vector<float> values;
    values.reserve(tokens.size());
    const auto at = [&](std::size_t i) -> float& {
      return logits[i / each * std::size_t(plan().vocab) + std::size_t(tokens[i])];
    };
    for (std::size_t i = 0; i < tokens.size(); ++i) values.push_back(at(i));
    std::ranges::fill(logits, *std::ranges::min_element(values) - 1.0F);
    for (std::size_t i = 0; i < tokens.size(); ++i) at(i) = values[i];
  });
}

}  // namespace assay::cpu
