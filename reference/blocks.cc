#include "reference/blocks.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "reference/ops/activation.h"
#include "reference/ops/attention.h"
#include "reference/ops/embed.h"
#include "reference/ops/linear.h"
#include "reference/ops/parallel.h"
#include "reference/ops/rms_norm.h"
#include "reference/ops/rope.h"
#include "reference/ops/softcap.h"
#include "reference/ops/softmax.h"
#include "reference/ops/top_k.h"
#include "reference/visibility.h"

namespace assay::reference {
namespace {

/// The same values seen as one row a head, for norms over head_dim.
Rows<float> heads(Grid& grid, int head_dim) {
  return {grid.values.data(), int(grid.values.size()) / head_dim, head_dim};
}

/// act(gate) * up, element by element, into gate.
void gated(const Layer& layer, std::span<float> gate, std::span<const float> up) {
  layer.ops.activate(gate, layer.activation);
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i];
}

/// The ids that are looked up: placeholders of image, video and audio rows become the pad token.
std::vector<std::int64_t> looked_up(const Plan& plan, std::span<const std::int64_t> ids) {
  std::vector<std::int64_t> out(ids.begin(), ids.end());
  for (std::int64_t& id : out)
    if (std::find(plan.placeholder_ids.begin(), plan.placeholder_ids.end(), id) != plan.placeholder_ids.end())
      id = plan.pad_id;
  return out;
}

}  // namespace

Grid apply(const Layer& layer, Rows<const float> x, const Weight& w, std::span<const float> bias) {
  Grid y(x.rows, w.rows);
  layer.ops.linear(x, w, bias, y.view());
  return y;
}

Grid normed(const Layer& layer, Rows<const float> x, std::span<const float> weight) {
  Grid y(x);
  layer.ops.rms_norm(y.view(), weight, layer.eps);
  return y;
}

Grid attn_norm(const Layer& layer, Rows<const float> in) { return normed(layer, in, layer.weights.input_layernorm); }

Grid project_q(const Layer& layer, Rows<const float> x) {
  Grid q = apply(layer, x, layer.weights.q_proj, layer.weights.q_bias);
  layer.ops.rms_norm(heads(q, layer.plan.head_dim), layer.weights.q_norm, layer.eps);
  return q;
}

KeysValues project_kv(const Layer& layer, Rows<const float> x) {
  const LayerWeights& w = layer.weights;
  Grid k = apply(layer, x, w.k_proj, w.k_bias);
  Grid v = layer.plan.value_is_key ? k : apply(layer, x, w.v_proj, w.v_bias);
  layer.ops.rms_norm(heads(k, layer.plan.head_dim), w.k_norm, layer.eps);
  layer.ops.rms_norm(heads(v, layer.plan.head_dim), {}, layer.eps);
  return {std::move(k), std::move(v)};
}

void rotate_q(const Layer& layer, const Sequence& sequence, Rows<float> q) {
  layer.ops.rope(q, layer.plan.head_dim, sequence.positions, layer.plan.rope);
}

void rotate_k(const Layer& layer, const Sequence& sequence, Rows<float> k) {
  layer.ops.rope(k, layer.plan.head_dim, sequence.positions, layer.plan.rope);
}

void append(const Layer& layer, const Sequence&, std::span<KvCache> caches, const KeysValues& kv) {
  caches[std::size_t(layer.index)].append(kv.k.view(), kv.v.view());
}

const KvCache& source(const Layer& layer, const Sequence&, std::span<KvCache> caches, Rows<const float>) {
  return caches[std::size_t(layer.plan.kv.layer)];
}

Grid attend(const Layer& layer, const Sequence& sequence, Rows<const float> q, const KvCache& kv) {
  Grid ctx(q.rows, q.cols);
#pragma omp parallel if (worth_threads(std::int64_t{q.rows} * q.cols * sequence.keys() * 2))
  {
    std::vector<char> seen(std::size_t(sequence.keys()));
#pragma omp for
    for (int token = 0; token < q.rows; ++token) {
      const int row = token / sequence.tokens, query = sequence.cached + token % sequence.tokens;
      layer.ops.visible(layer.plan, sequence, row, query, seen);
      attention(q.row(token), kv.keys(row), kv.values(row), seen, layer.plan.head_dim, ctx.row(token));
    }
  }
  return ctx;
}

Grid project_out(const Layer& layer, Rows<const float> ctx) {
  return apply(layer, ctx, layer.weights.o_proj, layer.weights.o_bias);
}

Grid add_attn(const Layer& layer, Rows<const float> in, Rows<const float> attn_out) {
  return sum(in, normed(layer, attn_out, layer.weights.post_attention_layernorm).view());
}

Grid ffn_norm(const Layer& layer, Rows<const float> post_attn) {
  return normed(layer, post_attn, layer.weights.pre_feedforward_layernorm);
}

Grid mlp(const Layer& layer, Rows<const float> x) {
  const LayerWeights& w = layer.weights;
  Grid gate = apply(layer, x, w.gate_proj);
  gated(layer, gate.values, apply(layer, x, w.up_proj).values);
  return apply(layer, gate.view(), w.down_proj);
}

Grid route(const Layer& layer, Rows<const float> post_attn) {
  const float root = float(std::pow(double(layer.hidden), -0.5));
  Grid x = normed(layer, post_attn, {});
  for (int r = 0; r < x.rows; ++r)
    for (int c = 0; c < x.cols; ++c) x.row(r)[std::size_t(c)] *= layer.weights.router_scale[std::size_t(c)];
  for (float& v : x.values) v *= root;
  Grid probs = apply(layer, x.view(), layer.weights.router_proj);
  for (int r = 0; r < probs.rows; ++r) softmax(probs.row(r), {});
  return probs;
}

Grid choose(const Layer& layer, Rows<const float> probs) {
  Grid chosen(probs.rows, probs.cols);
  for (int r = 0; r < probs.rows; ++r)
    top_k(probs.row(r), layer.plan.experts->used, layer.weights.per_expert_scale, chosen.row(r));
  return chosen;
}

Grid experts(const Layer& layer, Rows<const float> post_attn, Rows<const float> chosen) {
  const Experts& plan = *layer.plan.experts;
  const Grid x = normed(layer, post_attn, layer.weights.pre_feedforward_layernorm_2);
  Grid total(post_attn.rows, post_attn.cols);
  for (int expert = 0; expert < plan.count; ++expert) {
    std::vector<int> tokens;
    for (int t = 0; t < chosen.rows; ++t)
      if (chosen.row(t)[std::size_t(expert)] != 0) tokens.push_back(t);
    if (tokens.empty()) continue;
    Grid mine(int(tokens.size()), x.cols);
    for (int i = 0; i < mine.rows; ++i) std::ranges::copy(x.row(tokens[std::size_t(i)]), mine.row(i).begin());

    const Grid gate_up = apply(layer, mine.view(), layer.weights.experts_gate_up.part(expert));
    Grid gate(mine.rows, plan.width);
    for (int i = 0; i < mine.rows; ++i) {  // rows 0 .. width - 1 of gate_up_proj are the gate, the others up
      const auto [from, width] = std::pair(gate_up.row(i), std::size_t(plan.width));
      std::ranges::copy(from.first(width), gate.row(i).begin());
      gated(layer, gate.row(i), from.subspan(width));
    }
    const Grid down = apply(layer, gate.view(), layer.weights.experts_down.part(expert));
    for (int i = 0; i < mine.rows; ++i) {
      const float weight = chosen.row(tokens[std::size_t(i)])[std::size_t(expert)];
      for (int c = 0; c < total.cols; ++c)
        total.row(tokens[std::size_t(i)])[std::size_t(c)] += down.row(i)[std::size_t(c)] * weight;
    }
  }
  return total;
}

Grid add_ffn(const Layer& layer, Rows<const float> post_attn, Rows<const float> mlp, Rows<const float> experts) {
  const LayerWeights& w = layer.weights;
  if (experts.empty()) return sum(post_attn, normed(layer, mlp, w.post_feedforward_layernorm).view());
  const Grid both = sum(normed(layer, mlp, w.post_feedforward_layernorm_1).view(),
                        normed(layer, experts, w.post_feedforward_layernorm_2).view());
  return sum(post_attn, normed(layer, both.view(), w.post_feedforward_layernorm).view());
}

Grid ple_slice(const Layer& layer, const Sequence&, Rows<const float> ple) {
  const std::size_t width = std::size_t(layer.plan.ple_width);
  Grid slice(ple.rows, layer.plan.ple_width);
  for (int r = 0; r < ple.rows; ++r)
    std::ranges::copy(ple.row(r).subspan(std::size_t(layer.index) * width, width), slice.row(r).begin());
  return slice;
}

Grid ple_branch(const Layer& layer, Rows<const float> post_ffn, Rows<const float> ple) {
  Grid gate = apply(layer, post_ffn, layer.weights.per_layer_input_gate);
  gated(layer, gate.values, ple.all());
  const Grid projected = apply(layer, gate.view(), layer.weights.per_layer_projection);
  return normed(layer, projected.view(), layer.weights.post_per_layer_input_norm);
}

Grid tail(const Layer& layer, Rows<const float> post_ffn, Rows<const float> ple_out) {
  Grid out = ple_out.empty() ? Grid(post_ffn) : sum(post_ffn, ple_out);
  for (float& v : out.values) v *= layer.weights.layer_scalar;
  return out;
}

Grid embed_tokens(const Parts& parts, std::span<const std::int64_t> ids) {
  Grid out(int(ids.size()), parts.plan.hidden);
  embed(looked_up(parts.plan, ids), parts.weights.embed_tokens, float(std::sqrt(double(parts.plan.hidden))),
        out.view());
  return out;
}

Grid ple_inputs(const Parts& parts, std::span<const std::int64_t> ids, Rows<const float> embeds) {
  const Plan& plan = parts.plan;
  const int width = plan.ple_width, columns = width * int(plan.layers.size());
  Grid token(int(ids.size()), columns);
  embed(looked_up(plan, ids), parts.weights.embed_tokens_per_layer, float(std::sqrt(double(width))), token.view());

  Grid context(embeds.rows, columns);
  linear(embeds, parts.weights.per_layer_model_projection, {}, context.view());
  const float root = float(std::pow(double(plan.hidden), -0.5));
  for (float& v : context.values) v *= root;
  parts.ops.rms_norm({context.values.data(), context.rows * int(plan.layers.size()), width},
                     parts.weights.per_layer_projection_norm, plan.eps);

  const float half = float(std::pow(2.0, -0.5));
  for (std::size_t i = 0; i < context.values.size(); ++i)
    context.values[i] = (context.values[i] + token.values[i]) * half;
  return context;
}

Grid final_norm(const Parts& parts, Rows<const float> last) {
  Grid x(last);
  parts.ops.rms_norm(x.view(), parts.weights.norm, parts.plan.eps);
  return x;
}

Grid logits(const Parts& parts, Rows<const float> normed) {
  Grid y(normed.rows, parts.plan.vocab);
  linear(normed, parts.weights.lm_head, {}, y.view());
  if (parts.plan.softcap > 0) softcap(y.values, parts.plan.softcap);
  return y;
}

LayerOps layer_ops() {
  return {.rms_norm = rms_norm,
          .linear = linear,
          .rope = rope,
          .activate = activate,
          .attn_norm = attn_norm,
          .project_q = project_q,
          .project_kv = project_kv,
          .rotate_q = rotate_q,
          .rotate_k = rotate_k,
          .append = append,
          .source = source,
          .visible = visible,
          .attend = attend,
          .project_out = project_out,
          .add_attn = add_attn,
          .ffn_norm = ffn_norm,
          .mlp = mlp,
          .route = route,
          .choose = choose,
          .experts = experts,
          .add_ffn = add_ffn,
          .ple_slice = ple_slice,
          .ple_branch = ple_branch,
          .tail = tail};
}

ModelOps model_ops() {
  return {.rms_norm = rms_norm,
          .extend = extend,
          .embed = embed_tokens,
          .encode = encode,
          .merge = merge,
          .ple_inputs = ple_inputs,
          .final_norm = final_norm,
          .logits = logits};
}

}  // namespace assay::reference
