#include "engine/cpu/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <omp.h>

namespace assay::cpu {
namespace {

/// Tokens that go through the layers together: enough that reading the weights costs little beside multiplying, as few
/// as an arena of this size holds.
constexpr std::size_t kMostRows = 512, kLeastRows = 64, kArenaBytes = std::size_t{144} << 20;

Middle middle_of(const std::vector<LayerWeights>& weights) {
  Middle middle = Middle::narrowed;
  for (const LayerWeights& w : weights) {
    if (w.gate_proj.acts != w.up_proj.acts) return Middle::whole;
    if (w.down_proj.acts == kernels::Acts::fp32) middle = Middle::fused;
  }
  return middle;
}

}  // namespace

void Passage::offer(const Team& team, std::optional<Tap> id, int layer, const float* values, int cols) const {
  if (!wants(id, layer)) return;
  team.sync();
  team.one([&] { sheet.take({*id, layer}, piece.start + first, {values, count(), cols}); });
}

Result<Layers> Layers::make(const Plan& plan, std::vector<LayerWeights> weights, const Widths& widths,
                            const Options& options) {
  Layers layers(plan, options);
  ASSAY_TRY(kernels, KernelTable::make(options.kv, options.acts));
  layers.kernels_ = kernels;
  layers.operand_kernels_ = OperandKernels::best();
  layers.weights_ = std::move(weights);
  layers.middle_ = middle_of(layers.weights_);
  layers.widths_ = TextWidths(widths, layers.weights_);
  if (layers.options_.threads == 0) layers.options_.threads = omp_get_max_threads();
  layers.lends_.resize(plan.layers.size());
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const KvSource& kv = plan.layers[i].kv;
    if (kv.kind == KvSource::own) layers.last_writer_ = int(i);
    if (kv.kind == KvSource::earlier) layers.lends_[std::size_t(kv.layer)] = true;
  }
  layers.work_ = work_of_an_op(layers.weights_);
  Carver few;
  layers.carve(few, kLeastRows);
  layers.plan_rows(std::clamp(kArenaBytes / (few.used() / kLeastRows + 1), kLeastRows, kMostRows));
  return layers;
}

TextBuffers Layers::carve(Carver& carver, std::size_t rows) const {
  return TextBuffers::carve(carver, rows, plan_, kinds_, middle_, widths_, operand_kernels_, options_.threads);
}

void Layers::plan_rows(std::size_t rows) {
  if (rows <= planned_rows_) return;
  Carver measure;
  carve(measure, rows);
  Pages arena;  // the old one is left alone until all is there
  arena.grow(measure.used());
  Carver carver(arena.data());
  buffers_ = carve(carver, rows);
  arena_ = std::move(arena);
  planned_rows_ = rows;
}

void Layers::plan_keys(int batch, int keys) {
  for (const LayerPlan& layer : plan_.layers)
    partial_.grow(sizeof(float) * partial_floats(batch, layer.q_heads, layer.head_dim, keys));
}

void Layers::turn_row(int r, std::int64_t position) const {
  for (std::size_t i = 0; i < kinds_.ropes.size(); ++i) {
    const std::vector<float>& frequencies = kinds_.ropes[i].inv_freq;
    float* const cosines = buffers_.cosines[i] + std::size_t(r) * frequencies.size();
    float* const sines = buffers_.sines[i] + std::size_t(r) * frequencies.size();
    for (std::size_t f = 0; f < frequencies.size(); ++f) {
      const float angle = float(position) * frequencies[f];  // fp32, as transformers has it
      cosines[f] = angle == 0 ? 1.0F : float(std::cos(double{angle}));
      sines[f] = angle == 0 ? 0.0F : float(std::sin(double{angle}));
    }
  }
}

/// Source: Gemma4TextDecoderLayer.forward.
void Layers::run(const Team& team, Passage& passage) const {
  for (int index = 0; index < int(plan_.layers.size()); ++index) {
    attention(team, passage, index);
    if (passage.count() == 0) {
      if (index >= last_writer_) return;
      continue;
    }
    feed_forward(team, passage, index);
  }
}

/// Tokens before `first` of each batch row have come to their end.
void Layers::keep_last(const Team& team, Passage& passage, int first) const {
  const int batch = passage.batch, before = passage.of_each(), dropped = first - passage.first;
  const int kept = before - dropped;
  const auto compact = [&]<class T>(T* values, std::size_t cols) {
    for (int b = 0; b < batch && cols > 0; ++b)
      std::memmove(values + std::size_t(b * kept) * cols, values + std::size_t(b * before + dropped) * cols,
                   std::size_t(kept) * cols * sizeof(T));
  };
  team.one([&] {
    const auto hidden = std::size_t(plan_.hidden);
    compact(buffers_.x, hidden);
    compact(buffers_.normed, hidden);
    compact(buffers_.ple, std::size_t(plan_.ple_width) * plan_.layers.size());
    for (std::size_t i = 0; i < kinds_.ropes.size(); ++i) {
      compact(buffers_.cosines[i], kinds_.ropes[i].inv_freq.size());
      compact(buffers_.sines[i], kinds_.ropes[i].inv_freq.size());
    }
    for (std::size_t i = 0; i < kinds_.views.size(); ++i) {
      compact(buffers_.from[i], 1);
      compact(buffers_.to[i], 1);
    }
  });
  passage.first = first;
}

/// Rows [first, last) of x by make(first, last, x), narrowed for the products while they are at hand; complete for all
/// threads then.
/// @param kept  whether x itself is read later on; else, if all products narrow it, it is not written to memory
template <class Make>
void Layers::make_rows(const Team& team, int rows, std::span<const Product> products, float* x, bool kept,
                       const Make& make) const {
  constexpr int kAtOnce = TextBuffers::kRowsAtOnce;
  const Team::Part mine = team.split(rows);
  const bool whole =
      kept || std::ranges::any_of(products, [](const Product& one) { return one.matrix->acts == kernels::Acts::fp32; });
  float* const few = buffers_.few + std::ptrdiff_t(team.thread) * kAtOnce * plan_.hidden;
  for (int first = mine.first; first < mine.last; first += kAtOnce) {
    const int last = std::min(first + kAtOnce, mine.last);
    float* const to = whole ? x : few - std::ptrdiff_t(first) * plan_.hidden;
    make(first, last, to);
    narrow_rows(buffers_.operands, products, to, plan_.hidden, first, last);
  }
  team.sync();
  team.lap("norm");
}

/// Source: Gemma4TextAttention.forward.
void Layers::attention(const Team& team, Passage& passage, int index) const {
  const LayerPlan& plan = plan_.layers[std::size_t(index)];
  const LayerWeights& w = weights_[std::size_t(index)];
  const int hidden = plan_.hidden, d = plan.head_dim;
  const auto rope = std::size_t(kinds_.rope_of[std::size_t(index)]);
  const auto tap = [&](std::optional<Tap> id, const float* values, int cols) {
    passage.offer(team, id, index, values, cols);
  };
  const auto turn = [&](float* values, int heads, Team::Part part) {
    if (part.first < part.last)
      kernels_.rope({values, buffers_.cosines[rope], buffers_.sines[rope], values, heads, d, 1}, part.first, part.last);
  };
  const auto norm_heads = [&](const float* from, const float* weight, float* to, int heads, Team::Part part) {
    if (part.first < part.last)
      kernels_.rms_norm(from, weight, plan_.eps, d, to, part.first * heads, part.last * heads);
  };

  const bool own = plan.kv.kind == KvSource::own;
  const bool drops = index == last_writer_ && passage.needed_first > passage.first;
  const Product q{&w.q_proj, buffers_.q, plan.q_width()}, k{&w.k_proj, buffers_.k, plan.kv_width()},
      v{&w.v_proj, buffers_.v, plan.kv_width()};
  Product products[3];
  std::size_t count = 0;
  if (!drops) products[count++] = q;
  if (own) products[count++] = k;
  if (own && !plan.value_is_key) products[count++] = v;
  const bool kept = drops || passage.wants(passage.taps.attn_norm, index);
  make_rows(team, passage.count(), {products, count}, buffers_.normed, kept, [&](int first, int last, float* to) {
    kernels_.rms_norm(buffers_.x, w.input_layernorm.data(), plan_.eps, hidden, to, first, last);
  });
  tap(passage.taps.attn_norm, buffers_.normed, hidden);
  multiply_narrowed(team, "attn.qkv", buffers_.operands, buffers_.normed, passage.count(), hidden, {products, count});
  const Team::Part all = team.split(passage.count());

  const int of_each = passage.of_each();  // of K/V, whatever rows are dropped
  if (own) {
    norm_heads(plan.value_is_key ? buffers_.k : buffers_.v, nullptr, buffers_.v, plan.kv_heads, all);
    norm_heads(buffers_.k, w.k_norm.data(), buffers_.k, plan.kv_heads, all);
    tap(passage.taps.attn_k, buffers_.k, plan.kv_width());
    turn(buffers_.k, plan.kv_heads, all);
  }
  if (drops) {
    team.sync();
    keep_last(team, passage, passage.needed_first);
    multiply(team, "attn.qkv", buffers_.operands, buffers_.normed, passage.count(), hidden, {&q, 1});
  }
  const Team::Part mine = team.split(passage.count());
  norm_heads(buffers_.q, w.q_norm.data(), buffers_.q, plan.q_heads, mine);
  tap(passage.taps.attn_q, buffers_.q, plan.q_width());
  turn(buffers_.q, plan.q_heads, mine);
  team.sync();
  team.lap("norm + rope");
  tap(passage.taps.attn_q_rope, buffers_.q, plan.q_width());
  if (own) {
    tap(passage.taps.attn_k_rope, buffers_.k, plan.kv_width());
    tap(passage.taps.attn_v, buffers_.v, plan.kv_width());
  }
  look(team, passage, index, of_each);
  if (passage.count() == 0) return;
  tap(passage.taps.attn_ctx, buffers_.ctx, plan.q_width());
  const Product o{&w.o_proj, buffers_.out, hidden};
  multiply(team, "attn.out", buffers_.operands, buffers_.ctx, passage.count(), plan.q_width(), {&o, 1});
  tap(passage.taps.attn_out, buffers_.out, hidden);
}

/// Keys and values into their cache, queries over it. @param of_each  rows of K/V that each batch row has
void Layers::look(const Team& team, const Passage& passage, int index, int of_each) const {
  const LayerPlan& plan = plan_.layers[std::size_t(index)];
  const Piece& piece = passage.piece;
  const auto view = std::size_t(kinds_.view_of[std::size_t(index)]);
  const bool own = plan.kv.kind == KvSource::own;
  const bool in_steps = own && plan.window > 0 && !lends(index);  // a ring that others read holds a piece
  const int before = piece.tokens - of_each;
  for (std::size_t i = 0, start = 0; i < piece.units.size() && int(start) < piece.tokens; ++i) {
    const int from = int(start), end = in_steps ? piece.units[i] : piece.tokens;
    start = std::size_t(end);
    if (own) {
      const Team::Part part = team.split(passage.batch * (end - from));
      for (int r = part.first; r < part.last; ++r) {
        const int b = r / (end - from), t = from + r % (end - from);
        const std::ptrdiff_t row = std::ptrdiff_t(b * of_each + t - before) * plan.kv_width();
        passage.writes[std::size_t(index)].store(b, passage.sequence->key_of(b, piece.start + t), buffers_.k + row,
                                                 buffers_.v + row);
      }
      team.sync();
      team.lap("cache");
    }
    const int first = std::max(from, passage.first);
    if (first >= end) continue;
    const std::ptrdiff_t row = first - passage.first;
    attend(team, kernels_, *passage.reads[std::size_t(index)],
           {.q = buffers_.q + row * plan.q_width(),
            .from = buffers_.from[view] + row,
            .to = buffers_.to[view] + row,
            .masks = passage.masks,
            .y = buffers_.ctx + row * plan.q_width(),
            .tokens = end - first,
            .stride = passage.of_each(),
            .heads = plan.q_heads,
            .kv_heads = plan.kv_heads,
            .head_dim = plan.head_dim},
           reinterpret_cast<float*>(partial_.data()));
  }
}

void Layers::norm(const Team& team, int rows, const float* from, const std::vector<float>& weight, float* to) const {
  const Team::Part mine = team.split(rows);
  if (mine.first < mine.last)
    kernels_.rms_norm(from, weight.data(), plan_.eps, plan_.hidden, to, mine.first, mine.last);
}

void Layers::norm_add(const Team& team, int rows, const float* from, const std::vector<float>& weight,
                      const float* residual, float scalar, float* to) const {
  const Team::Part mine = team.split(rows);
  if (mine.first < mine.last)
    kernels_.norm_add(from, weight.data(), plan_.eps, residual, scalar, plan_.hidden, to, mine.first, mine.last);
}

/// Source: Gemma4TextDecoderLayer.forward, behind its attention.
void Layers::feed_forward(const Team& team, const Passage& passage, int index) const {
  const LayerPlan& plan = plan_.layers[std::size_t(index)];
  const LayerWeights& w = weights_[std::size_t(index)];
  const int hidden = plan_.hidden, count = passage.count();
  const auto tap = [&](std::optional<Tap> id, const float* values, int cols) {
    passage.offer(team, id, index, values, cols);
  };
  const Product gate_up[] = {{&w.gate_proj, buffers_.gate, plan.ffn_width}, {&w.up_proj, buffers_.up, plan.ffn_width}};
  const bool kept = passage.wants(passage.taps.ffn_norm, index);
  make_rows(team, count, gate_up, buffers_.normed, kept, [&](int first, int last, float* to) {
    kernels_.norm_add(buffers_.out, w.post_attention_layernorm.data(), plan_.eps, buffers_.x, 1, hidden, buffers_.x,
                      first, last);
    kernels_.rms_norm(buffers_.x, w.pre_feedforward_layernorm.data(), plan_.eps, hidden, to, first, last);
  });
  tap(passage.taps.post_attn, buffers_.x, hidden);
  tap(passage.taps.ffn_norm, buffers_.normed, hidden);
  const Product down{&w.down_proj, buffers_.out, hidden};
  if (count >= TextBuffers::kFusedRows && middle_ != Middle::whole) {
    gated_rows(team, w, plan.ffn_width, count);
    multiply_narrowed(team, "mlp.down", buffers_.gated, buffers_.gate, count, plan.ffn_width, {&down, 1});
  } else {
    multiply_narrowed(team, "mlp.gate_up", buffers_.operands, buffers_.normed, count, hidden, gate_up);
    gate(team, buffers_.up, plan.ffn_width, plan.ffn_width, count);
    multiply(team, "mlp.down", buffers_.operands, buffers_.gate, count, plan.ffn_width, {&down, 1});
  }
  tap(passage.taps.mlp, buffers_.out, hidden);

  if (plan.experts) experts(team, passage, index);
  if (plan.ple_width > 0) {
    per_layer(team, passage, index);
  } else {
    // The layer's last sublayer multiplies by layer_scalar; a tap before that is worked out beside it.
    if (passage.wants(passage.taps.post_ffn, index)) {
      norm_add(team, count, buffers_.out, w.post_feedforward_layernorm, buffers_.x, 1, buffers_.normed);
      tap(passage.taps.post_ffn, buffers_.normed, hidden);
    }
    norm_add(team, count, buffers_.out, w.post_feedforward_layernorm, buffers_.x, w.layer_scalar, buffers_.x);
  }
  tap(passage.taps.out, buffers_.x, hidden);
}

/// Adds what experts make of buffers_.x to what the dense feed-forward made of it, in buffers_.out.
void Layers::experts(const Team& team, const Passage& passage, int index) const {
  const LayerWeights& w = weights_[std::size_t(index)];
  const Experts& plan = *plan_.layers[std::size_t(index)].experts;
  const MoeBuffers& moe = buffers_.moe;
  const int hidden = plan_.hidden, count = passage.count();
  norm(team, count, buffers_.x, w.router_scale, buffers_.normed);
  team.sync();
  team.lap("norm");
  const Product router{&w.router_proj, moe.probs, plan.count};
  multiply(team, "router", buffers_.operands, buffers_.normed, count, hidden, {&router, 1});
  route(team, kernels_, w, plan, moe, count);
  passage.offer(team, passage.taps.router_probs, index, moe.probs, plan.count);
  if (passage.wants(passage.taps.router_topk, index)) {
    team.one([&] { scatter_choice(moe, plan, count, moe.probs); });
    passage.offer(team, passage.taps.router_topk, index, moe.probs, plan.count);
  }
  norm(team, count, buffers_.x, w.pre_feedforward_layernorm_2, buffers_.normed);
  norm(team, count, buffers_.out, w.post_feedforward_layernorm_1, buffers_.second);
  run_experts(team, kernels_, w, plan, plan_.activation, moe, buffers_.operands, buffers_.normed, count, hidden,
              buffers_.out);
  passage.offer(team, passage.taps.experts, index, buffers_.out, hidden);
  norm_add(team, count, buffers_.out, w.post_feedforward_layernorm_2, buffers_.second, 1, buffers_.out);
}

/// Adds the feed-forward's output, in buffers_.out, to buffers_.x, and then the token's own input to this layer.
void Layers::per_layer(const Team& team, const Passage& passage, int index) const {
  const LayerWeights& w = weights_[std::size_t(index)];
  const int hidden = plan_.hidden, count = passage.count();
  const int width = plan_.layers[std::size_t(index)].ple_width, all = width * int(plan_.layers.size());
  const Product in{&w.per_layer_input_gate, buffers_.gate, width};
  make_rows(team, count, {&in, 1}, buffers_.x, true, [&](int first, int last, float* to) {
    kernels_.norm_add(buffers_.out, w.post_feedforward_layernorm.data(), plan_.eps, buffers_.x, 1, hidden, to, first,
                      last);
  });
  passage.offer(team, passage.taps.post_ffn, index, buffers_.x, hidden);
  multiply_narrowed(team, "ple.gate", buffers_.operands, buffers_.x, count, hidden, {&in, 1});
  gate(team, buffers_.ple + std::ptrdiff_t(index) * width, all, width, count);
  const Product out{&w.per_layer_projection, buffers_.out, hidden};
  multiply(team, "ple.out", buffers_.operands, buffers_.gate, count, width, {&out, 1});
  if (passage.wants(passage.taps.ple_out, index)) {
    norm(team, count, buffers_.out, w.post_per_layer_input_norm, buffers_.normed);
    passage.offer(team, passage.taps.ple_out, index, buffers_.normed, hidden);
  }
  norm_add(team, count, buffers_.out, w.post_per_layer_input_norm, buffers_.x, w.layer_scalar, buffers_.x);
}

/// activation(gate) * up of normed, ready for the product that reads it: narrowed in buffers_.gated, or fp32 in
/// buffers_.gate. normed has been narrowed. Made in slices of columns, which stay in the
/// cache of the thread that makes them: of whole matrices only the narrowed one is written to memory.
void Layers::gated_rows(const Team& team, const LayerWeights& w, int width, int rows) const {
  constexpr int kSlice = TextBuffers::kSlice;
  const kernels::Acts acts = w.down_proj.acts;
  const kernels::Activations normed = buffers_.operands.view(w.gate_proj.acts, buffers_.normed, rows, plan_.hidden);
  const Operands& to = buffers_.gated;
  const kernels::Activation activation = kernel_activation(plan_.activation);
  float* const gate = buffers_.slices + std::ptrdiff_t(team.thread) * 2 * kSlice * rows;
  float* const up = gate + std::ptrdiff_t(kSlice) * rows;
  team.take_pieces(width, kSlice, kernels::kActsBlock, [&](int first, int last) {
    const int cols = last - first;
    multiply_rows({&w.gate_proj, gate, kSlice, first}, normed, first, last);
    multiply_rows({&w.up_proj, up, kSlice, first}, normed, first, last);
    const bool narrows = acts != kernels::Acts::fp32;
    kernels_.gated(
        {gate, up, narrows ? gate : buffers_.gate + first, cols, kSlice, kSlice, narrows ? kSlice : width, activation},
        0, rows);
    for (int t = 0; t < rows && narrows; ++t)
      narrow_slice(to, acts, gate + std::ptrdiff_t(t) * kSlice, cols, t, first, width);
  });
  team.sync();
  const Product products[] = {{&w.gate_proj, gate, kSlice}, {&w.up_proj, up, kSlice}};
  if (team.clock != nullptr) team.lap("mlp.gate_up", needs_of(products, rows));
}

/// activation(gate) * up, into gate. A few rows are shared out by columns.
void Layers::gate(const Team& team, const float* up, int up_stride, int cols, int rows) const {
  const kernels::Activation activation = kernel_activation(plan_.activation);
  const bool by_columns = rows < team.threads;
  const Team::Part part = by_columns ? team.split(cols, 16) : team.split(rows);
  float* const gate = buffers_.gate;
  if (part.first < part.last && by_columns)
    kernels_.gated({gate + part.first, up + part.first, gate + part.first, part.last - part.first, cols, up_stride,
                    cols, activation},
                   0, rows);
  else if (part.first < part.last)
    kernels_.gated({gate, up, gate, cols, cols, up_stride, cols, activation}, part.first, part.last);
  team.sync();
  team.lap("gated");
}

}  // namespace assay::cpu
