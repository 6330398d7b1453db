#include "engine/cpu/vision.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/cpu/kernel_table.h"
#include "kernels/registry.h"

namespace assay::cpu {
namespace {

VisionLayerWeights load_layer(Loader& loader, const VisionLayerPlan& plan, int hidden, std::size_t index) {
  const std::string at = "model.vision_tower.encoder.layers." + std::to_string(index) + ".", attn = at + "self_attn.";
  VisionLayerWeights w;
  w.input_layernorm = loader.vector(at + "input_layernorm.weight");
  w.post_attention_layernorm = loader.vector(at + "post_attention_layernorm.weight");
  w.pre_feedforward_layernorm = loader.vector(at + "pre_feedforward_layernorm.weight");
  w.post_feedforward_layernorm = loader.vector(at + "post_feedforward_layernorm.weight");
  w.q_proj = loader.clipped(attn + "q_proj", plan.q_width(), hidden, plan.clipped);
  w.k_proj = loader.clipped(attn + "k_proj", plan.kv_width(), hidden, plan.clipped);
  w.v_proj = loader.clipped(attn + "v_proj", plan.kv_width(), hidden, plan.clipped);
  w.o_proj = loader.clipped(attn + "o_proj", hidden, plan.q_width(), plan.clipped);
  w.q_norm = loader.vector(attn + "q_norm.weight");
  w.k_norm = loader.vector(attn + "k_norm.weight");
  w.gate_proj = loader.clipped(at + "mlp.gate_proj", plan.ffn_width, hidden, plan.clipped);
  w.up_proj = loader.clipped(at + "mlp.up_proj", plan.ffn_width, hidden, plan.clipped);
  w.down_proj = loader.clipped(at + "mlp.down_proj", hidden, plan.ffn_width, plan.clipped);
  return w;
}

VisionWeights load(Loader& loader, const VisionPlan& plan, int text_hidden) {
  VisionWeights w;
  w.embedding_projection = loader.matrix("model.embed_vision.embedding_projection.weight", text_hidden, plan.hidden);
  if (plan.encoder_free) {
    const std::string at = "model.vision_embedder.";
    w.patch_ln1 = loader.vector(at + "patch_ln1.weight");
    w.patch_ln1_bias = loader.vector(at + "patch_ln1.bias");
    w.patch_ln2 = loader.vector(at + "patch_ln2.weight");
    w.patch_ln2_bias = loader.vector(at + "patch_ln2.bias");
    w.pos_norm = loader.vector(at + "pos_norm.weight");
    w.pos_norm_bias = loader.vector(at + "pos_norm.bias");
    w.patch_dense = loader.matrix(at + "patch_dense.weight", plan.hidden, plan.patch_values);
    w.patch_dense.bias = loader.vector(at + "patch_dense.bias");
    w.positions = loader.matrix(at + "pos_embedding", 2 * plan.positions, plan.hidden);
    return w;
  }
  const std::string at = "model.vision_tower.";
  w.input_proj = loader.matrix(at + "patch_embedder.input_proj.weight", plan.hidden, plan.patch_values);
  w.positions = loader.matrix(at + "patch_embedder.position_embedding_table", 2 * plan.positions, plan.hidden);
  if (plan.standardize) {
    w.std_bias = loader.vector(at + "std_bias");
    w.std_scale = loader.vector(at + "std_scale");
  }
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    w.layers.push_back(load_layer(loader, plan.layers[i], plan.hidden, i));
  return w;
}

}  // namespace

/// Patches that go through a feed-forward together, so that what its middle is made of stays in the cache.
constexpr int kFfnRows = 512;

/// An item's rows, [real patches, ...]; gate and up: [kFfnRows, ...].
struct Vision::Buffers {
  float *pixels, *x, *normed, *out, *by_x, *by_y, *q, *k, *v, *ctx, *gate, *up, *cosines, *sines;
  std::int64_t *ids_x, *ids_y, *own_ids;
  std::int32_t *from, *to;
  std::byte *k_bf16, *v_bf16;  ///< nullptr where attention multiplies in fp32
  Operands operands;

  static Buffers carve(Carver& carver, std::size_t rows, const VisionPlan& plan, kernels::Acts acts,
                       const Widths& widths, const OperandKernels& kernels) {
    std::size_t q = 0, kv = 0, ffn = 0, half = 0;
    bool clipped = false;
    for (const VisionLayerPlan& layer : plan.layers) {
      q = std::max(q, std::size_t(layer.q_width()));
      kv = std::max(kv, std::size_t(layer.kv_width()));
      ffn = std::max(ffn, std::size_t(layer.ffn_width));
      half = std::max(half, std::size_t(layer.head_dim / 2));
      clipped = clipped || layer.clipped;
    }
    const auto hidden = std::size_t(plan.hidden), values = std::size_t(plan.patch_values);
    Buffers b{};
    const auto floats = [&](std::size_t cols) { return carver.take<float>(rows * cols); };
    b.pixels = floats(values);
    for (float** each : {&b.x, &b.normed, &b.out, &b.by_x, &b.by_y}) *each = floats(hidden);
    for (float** each : {&b.q, &b.ctx}) *each = floats(q);
    for (float** each : {&b.k, &b.v}) *each = floats(kv);
    for (float** each : {&b.gate, &b.up}) *each = carver.take<float>(std::min(rows, std::size_t(kFfnRows)) * ffn);
    for (float** each : {&b.cosines, &b.sines}) *each = floats(half);
    for (std::int64_t** each : {&b.ids_x, &b.ids_y}) *each = carver.take<std::int64_t>(rows);
    b.own_ids = carver.take<std::int64_t>(2 * rows);
    for (std::int32_t** each : {&b.from, &b.to}) *each = carver.take<std::int32_t>(rows);
    if (acts != kernels::Acts::fp32)
      for (std::byte** each : {&b.k_bf16, &b.v_bf16}) *each = carver.take<std::byte>(rows * kv * 2);
    b.operands = Operands::carve(carver, rows, widths, clipped, kernels);
    return b;
  }
};

struct Vision::Work {
  const VisionItem& item;
  std::vector<int> real;  ///< patches that are no padding
  Buffers buffers;
  VisionTaps& taps;

  int rows() const { return int(real.size()); }
  /// Offers a tap of patches; rows of padding are zeros.
  void tap(const Team& team, TapId id, const float* values, int cols) {
    if (!taps.patches.wants(id.tap, id.layer)) return;
    team.sync();
    team.one([&] {
      std::vector<float> all(std::size_t(item.length) * std::size_t(cols), 0);
      for (std::size_t r = 0; r < real.size(); ++r)
        std::copy_n(values + std::ptrdiff_t(r) * cols, cols, all.begin() + std::ptrdiff_t(real[r]) * cols);
      taps.patches.take(id, item.first_patch, {all.data(), item.length, cols});
    });
  }
};

Result<Vision> Vision::open(Loader& loader, const Plan& plan, const Options& options) {
  Vision vision;
  vision.plan_ = *plan.vision;
  vision.text_hidden_ = plan.hidden;
  vision.options_ = options;
  vision.weights_ = load(loader, *plan.vision, plan.hidden);
  vision.widths_ = loader.widths();
  ASSAY_TRY(kernels, TowerKernels::make());
  vision.kernels_ = kernels;
  vision.operand_kernels_ = OperandKernels::best();
  vision.gather_ = kernels::best<kernels::spec::gather>(vision.weights_.positions.format, kernels::Acts::fp32);
  if (vision.gather_ == nullptr)
    return fail({Failure::unsupported, "cpu", "kernels", "one for op gather", "none that this machine can run"});
  vision.work_ = std::int64_t{plan.vision->hidden} * plan.vision->hidden;
  return vision;
}

/// Source: Gemma4VisionPatchEmbedder.forward, Gemma4UnifiedVisionEmbedder.forward.
void Vision::embed(const Team& team, Work& work) const {
  const Buffers& b = work.buffers;
  const int rows = work.rows(), hidden = plan_.hidden, values = plan_.patch_values;
  const int pieces = plan_.encoder_free ? 2 : 1;  // rows of x's table are `pieces` apart; y's begin behind them
  share(team, rows, [&](int first, int last) {
    for (int r = first; r < last; ++r) {
      const auto patch = std::size_t(work.real[std::size_t(r)]);
      const float* const from = work.item.pixels + std::ptrdiff_t(patch) * values;
      float* const to = b.pixels + std::ptrdiff_t(r) * values;
      const std::int64_t x = work.item.positions[2 * patch], y = work.item.positions[2 * patch + 1];
      b.ids_x[r] = std::max<std::int64_t>(x, 0) * pieces;
      b.ids_y[r] =
          plan_.encoder_free ? std::max<std::int64_t>(y, 0) * 2 + 1 : plan_.positions + std::max<std::int64_t>(y, 0);
      // A tower takes row 0 for one coordinate without the other, the embedder none.
      b.own_ids[2 * r] = plan_.encoder_free && x < 0 ? -1 : r;
      b.own_ids[2 * r + 1] = plan_.encoder_free && y < 0 ? -1 : r;
      if (plan_.encoder_free)
        std::copy_n(from, values, to);
      else
        for (int i = 0; i < values; ++i) to[i] = 2 * (from[i] - 0.5F);
    }
    gather_(weights_.positions.w, b.ids_x, 1, b.by_x, first, last);
    gather_(weights_.positions.w, b.ids_y, 1, b.by_y, first, last);
    if (plan_.encoder_free)
      kernels_.layer_norm(b.pixels, weights_.patch_ln1.data(), weights_.patch_ln1_bias.data(), plan_.layer_norm_eps,
                          values, b.pixels, first, last);
  });
  team.sync();
  team.lap("embed");
  const Product product{plan_.encoder_free ? &weights_.patch_dense : &weights_.input_proj, b.x, hidden};
  multiply(team, "vision.patch", b.operands, b.pixels, rows, values, {&product, 1});
  share(team, rows, [&](int first, int last) {
    if (plan_.encoder_free)
      kernels_.layer_norm(b.x, weights_.patch_ln2.data(), weights_.patch_ln2_bias.data(), plan_.layer_norm_eps, hidden,
                          b.x, first, last);
    kernels_.patch_positions({b.x, b.own_ids, b.by_x, b.by_y, b.x, hidden, hidden}, first, last);
    if (plan_.encoder_free)
      kernels_.layer_norm(b.x, weights_.pos_norm.data(), weights_.pos_norm_bias.data(), plan_.layer_norm_eps, hidden,
                          b.x, first, last);
  });
  team.sync();
  team.lap("positions");
  work.tap(team, {Tap::vision_patch_embed, -1}, b.x, hidden);
}

/// Source: Gemma4VisionEncoderLayer.forward.
void Vision::run_layer(const Team& team, Work& work, std::size_t index) const {
  const VisionLayerPlan& plan = plan_.layers[index];
  const VisionLayerWeights& w = weights_.layers[index];
  const Buffers& b = work.buffers;
  const int rows = work.rows(), hidden = plan_.hidden, d = plan.head_dim, at = int(index);
  const Team::Part mine = team.split(rows);
  const auto norm = [&](const std::vector<float>& weight, const float* from, float* to) {
    if (mine.first < mine.last) kernels_.rms_norm(from, weight.data(), plan_.eps, hidden, to, mine.first, mine.last);
  };
  const auto norm_heads = [&](float* x, const float* weight, int heads) {
    if (mine.first < mine.last) kernels_.rms_norm(x, weight, plan_.eps, d, x, mine.first * heads, mine.last * heads);
  };
  const auto turn = [&](float* x, int heads) {
    if (mine.first < mine.last) kernels_.rope({x, b.cosines, b.sines, x, heads, d, 2}, mine.first, mine.last);
  };
  const auto end = [&](const std::vector<float>& weight) {
    if (mine.first < mine.last)
      kernels_.norm_add(b.out, weight.data(), plan_.eps, b.x, 1, hidden, b.x, mine.first, mine.last);
  };

  norm(w.input_layernorm, b.x, b.normed);
  team.sync();
  team.lap("norm");
  work.tap(team, {Tap::vision_attn_norm, at}, b.normed, hidden);
  const Product qkv[] = {
      {&w.q_proj, b.q, plan.q_width()}, {&w.k_proj, b.k, plan.kv_width()}, {&w.v_proj, b.v, plan.kv_width()}};
  multiply(team, "attn.qkv", b.operands, b.normed, rows, hidden, qkv);
  norm_heads(b.q, w.q_norm.data(), plan.heads);
  norm_heads(b.k, w.k_norm.data(), plan.kv_heads);
  norm_heads(b.v, nullptr, plan.kv_heads);
  work.tap(team, {Tap::vision_attn_q, at}, b.q, plan.q_width());
  work.tap(team, {Tap::vision_attn_k, at}, b.k, plan.kv_width());
  work.tap(team, {Tap::vision_attn_v, at}, b.v, plan.kv_width());
  turn(b.q, plan.heads);
  turn(b.k, plan.kv_heads);
  const bool in_bf16 = b.k_bf16 != nullptr;
  if (in_bf16 && mine.first < mine.last) {
    kernels_.to_bf16(b.k, plan.kv_width(), {b.k_bf16, nullptr, nullptr}, mine.first, mine.last);
    kernels_.to_bf16(b.v, plan.kv_width(), {b.v_bf16, nullptr, nullptr}, mine.first, mine.last);
  }
  team.sync();
  team.lap("norm + rope");
  work.tap(team, {Tap::vision_attn_q_rope, at}, b.q, plan.q_width());
  work.tap(team, {Tap::vision_attn_k_rope, at}, b.k, plan.kv_width());
  const kernels::Attention attention{.q = b.q,
                                     .k = in_bf16 ? b.k_bf16 : reinterpret_cast<const std::byte*>(b.k),
                                     .v = in_bf16 ? b.v_bf16 : reinterpret_cast<const std::byte*>(b.v),
                                     .from = b.from,
                                     .to = b.to,
                                     .mask = nullptr,
                                     .y = b.ctx,
                                     .partial = nullptr,
                                     .tokens = rows,
                                     .heads = plan.heads,
                                     .kv_heads = plan.kv_heads,
                                     .head_dim = d,
                                     .capacity = rows,
                                     .mask_first = 0,
                                     .mask_stride = 0,
                                     .chunk = 0,
                                     .scale = 1};
  auto* const attend = in_bf16 ? kernels_.attention_bf16 : kernels_.attention;
  if (rows > 0) team.take_turns(attention_units(attention), [&](int unit) { attend(attention, unit, unit + 1); });
  team.sync();
  team.lap("attention", {.bytes = 2.0 * rows * plan.kv_width() * (in_bf16 ? 2 : 4),
                         .flops = 4.0 * rows * rows * plan.q_width(),
                         .acts = in_bf16 ? kernels::Acts::bf16 : kernels::Acts::fp32});
  work.tap(team, {Tap::vision_attn_ctx, at}, b.ctx, plan.q_width());
  linear(team, "attn.out", work, b.ctx, rows, plan.q_width(), w.o_proj, b.out);
  work.tap(team, {Tap::vision_attn_out, at}, b.out, hidden);
  end(w.post_attention_layernorm);
  work.tap(team, {Tap::vision_post_attn, at}, b.x, hidden);

  norm(w.pre_feedforward_layernorm, b.x, b.normed);
  team.sync();
  team.lap("norm");
  work.tap(team, {Tap::vision_ffn_norm, at}, b.normed, hidden);
  for (int first = 0; first < rows; first += kFfnRows) {
    const int count = std::min(kFfnRows, rows - first), width = plan.ffn_width;
    const Product gate_up[] = {{&w.gate_proj, b.gate, width}, {&w.up_proj, b.up, width}};
    multiply(team, "mlp.gate_up", b.operands, b.normed + std::ptrdiff_t(first) * hidden, count, hidden, gate_up);
    share(team, count, [&](int from, int to) {
      kernels_.gated({b.gate, b.up, b.gate, width, width, width, width, kernel_activation(plan_.activation)}, from, to);
    });
    team.sync();
    team.lap("gated");
    linear(team, "mlp.down", work, b.gate, count, width, w.down_proj, b.out + std::ptrdiff_t(first) * hidden);
  }
  work.tap(team, {Tap::vision_mlp, at}, b.out, hidden);
  end(w.post_feedforward_layernorm);
  team.sync();
  team.lap("norm");
  work.tap(team, {Tap::vision_out, at}, b.x, hidden);
}

void Vision::linear(const Team& team, std::string_view op, const Work& work, const float* x, int rows, int cols,
                    const Matrix& w, float* y) const {
  const Product product{&w, y, w.w.rows};
  multiply(team, op, work.buffers.operands, x, rows, cols, {&product, 1});
}

/// Which rows (real patches, by their number among those) fall into each soft token; tokens that no patch falls into
/// are left out, where padding counts as a patch at 0, 0. Source: Gemma4VisionPooler.
std::vector<std::vector<std::int32_t>> Vision::cells(const VisionItem& item) const {
  const auto at = [&](int patch, int axis) { return item.positions[std::size_t(2 * patch + axis)]; };
  std::vector<std::vector<std::int32_t>> cells;
  std::int32_t row = 0;
  if (plan_.encoder_free) {
    for (int patch = 0; patch < item.length; ++patch) {
      if (at(patch, 0) == -1 && at(patch, 1) == -1) continue;
      if (at(patch, 0) != -1 && at(patch, 1) != -1) cells.push_back({row});
      ++row;
    }
    return cells;
  }
  const int count = item.length / (plan_.pool * plan_.pool), of_each = item.length / count;
  const auto side = std::int64_t(std::sqrt(double(of_each)));
  std::int64_t width = 1;
  for (int patch = 0; patch < item.length; ++patch) width = std::max(width, at(patch, 0) + 1);
  cells.resize(std::size_t(count));
  std::vector<bool> hit(std::size_t(count), false);
  for (int patch = 0; patch < item.length; ++patch) {
    const std::int64_t x = std::max<std::int64_t>(at(patch, 0), 0), y = std::max<std::int64_t>(at(patch, 1), 0);
    const auto cell = std::size_t(x / side + width / side * (y / side));
    hit[cell] = true;
    if (at(patch, 0) != -1 || at(patch, 1) != -1) cells[cell].push_back(row++);
  }
  std::size_t kept = 0;
  for (std::size_t cell = 0; cell < hit.size(); ++cell)
    if (hit[cell]) std::swap(cells[kept++], cells[cell]);
  cells.resize(kept);
  return cells;
}

int Vision::encode(const VisionItem& item, VisionTaps& taps, std::vector<float>& soft, OpClock* clock) {
  Work work{.item = item, .real = {}, .buffers = {}, .taps = taps};
  for (int patch = 0; patch < item.length; ++patch)
    if (item.positions[std::size_t(2 * patch)] != -1 || item.positions[std::size_t(2 * patch + 1)] != -1)
      work.real.push_back(patch);
  const std::vector<std::vector<std::int32_t>> cells = this->cells(item);
  std::vector<std::int32_t> begin{0}, patches;
  for (const auto& cell : cells) {
    patches.insert(patches.end(), cell.begin(), cell.end());
    begin.push_back(std::int32_t(patches.size()));
  }
  const int rows = work.rows(), count = int(cells.size()), hidden = plan_.hidden;
  const auto room = std::size_t(std::max({rows, count, 1}));
  Carver measure;
  Buffers::carve(measure, room, plan_, options_.acts, widths_, operand_kernels_);
  arena_.grow(measure.used());
  Carver carver(arena_.data());
  work.buffers = Buffers::carve(carver, room, plan_, options_.acts, widths_, operand_kernels_);
  const Buffers& b = work.buffers;
  const std::size_t before = soft.size();
  soft.resize(before + std::size_t(count) * std::size_t(text_hidden_));
  const int of_each = item.length / std::max(1, item.length / (plan_.pool * plan_.pool));
  const int side = plan_.encoder_free ? 1 : int(std::sqrt(double(of_each)));
  const float scale = plan_.encoder_free ? 1 : float(std::sqrt(double(hidden)) / (side * side));

  with_team(options_.threads, work_ * rows, clock, [&](const Team& team) {
    if (!plan_.layers.empty())
      share(team, rows, [&](int first, int last) {
        const std::vector<float>& frequencies = plan_.layers[0].rope.inv_freq;
        const std::size_t quarter = frequencies.size();
        for (int r = first; r < last; ++r) {
          b.from[r] = 0;
          b.to[r] = rows;
          for (std::size_t i = 0; i < 2 * quarter; ++i) {
            const auto position = float(item.positions[2 * std::size_t(work.real[std::size_t(r)]) + i / quarter]);
            const float angle = position * frequencies[i % quarter];
            b.cosines[std::size_t(r) * 2 * quarter + i] = float(std::cos(double{angle}));
            b.sines[std::size_t(r) * 2 * quarter + i] = float(std::sin(double{angle}));
          }
        }
      });
    embed(team, work);
    for (std::size_t index = 0; index < plan_.layers.size(); ++index) run_layer(team, work, index);
    share(team, count, [&](int first, int last) {
      kernels_.pool({b.x, begin.data(), patches.data(), b.out, hidden, scale}, first, last);
      if (plan_.standardize)
        kernels_.standardize(b.out, weights_.std_bias.data(), weights_.std_scale.data(), hidden, b.out, first, last);
    });
    team.sync();
    if (!plan_.encoder_free && count > 0 && taps.soft.wants(Tap::vision_pooled, -1))
      team.one([&] { taps.soft.take({Tap::vision_pooled, -1}, item.first_soft, {b.out, count, hidden}); });
    share(team, count,
          [&](int first, int last) { kernels_.rms_norm(b.out, nullptr, plan_.eps, hidden, b.normed, first, last); });
    team.sync();
    team.lap("pool");
    linear(team, "vision.project", work, b.normed, count, hidden, weights_.embedding_projection, soft.data() + before);
    if (count > 0 && taps.soft.wants(Tap::vision_projected, -1))
      team.one([&] {
        taps.soft.take({Tap::vision_projected, -1}, item.first_soft, {soft.data() + before, count, text_hidden_});
      });
  });
  return count;
}

}  // namespace assay::cpu
