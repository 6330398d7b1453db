#include "reference/vision_blocks.h"

#include <algorithm>
#include <cmath>

#include "reference/ops/activation.h"
#include "reference/ops/attention.h"
#include "reference/ops/layer_norm.h"
#include "reference/ops/linear.h"
#include "reference/ops/parallel.h"
#include "reference/ops/rms_norm.h"

namespace assay::reference {
namespace vision {
namespace {

/// The same values seen as one row a head, for norms over head_dim.
Rows<float> heads(Grid& grid, int head_dim) {
  return {grid.values.data(), int(grid.values.size()) / head_dim, head_dim};
}

Grid normed(const VisionLayer& layer, Rows<const float> x, std::span<const float> weight) {
  Grid y(x);
  layer.ops.rms_norm(y.view(), weight, layer.eps);
  return y;
}

Grid projected_heads(const VisionLayer& layer, Rows<const float> x, const ClippedWeight& w,
                     std::span<const float> norm) {
  Grid y = layer.ops.linear(x, w);
  layer.ops.rms_norm(heads(y, layer.plan.head_dim), norm, layer.eps);
  return y;
}

}  // namespace

Grid patch_embed(const Vision& vision, const Patches& patches, Rows<const float> pixels) {
  Grid scaled(pixels), y(pixels.rows, vision.plan.hidden);
  for (float& v : scaled.values) v = 2 * (v - 0.5F);
  linear(scaled.view(), vision.weights.input_proj, {}, y.view());
  std::vector<float> by_x(std::size_t(y.cols)), by_y(by_x.size());
  for (int r = 0; r < y.rows; ++r) {
    const PatchPosition at = patches.positions[std::size_t(r)];
    if (at.padding()) continue;
    vision.weights.positions_x.row(int(std::max<std::int64_t>(at.x, 0)), by_x);
    vision.weights.positions_y.row(int(std::max<std::int64_t>(at.y, 0)), by_y);
    for (std::size_t c = 0; c < by_x.size(); ++c) y.row(r)[c] += by_x[c] + by_y[c];
  }
  return y;
}

Grid embed_pixels(const Vision& vision, const Patches& patches, Rows<const float> pixels) {
  const VisionWeights& w = vision.weights;
  const float eps = vision.plan.layer_norm_eps;
  Grid x(pixels), y(pixels.rows, vision.plan.hidden);
  vision.ops.layer_norm(x.view(), w.patch_ln1, w.patch_ln1_bias, eps);
  linear(x.view(), w.patch_dense, w.patch_dense_bias, y.view());
  vision.ops.layer_norm(y.view(), w.patch_ln2, w.patch_ln2_bias, eps);
  std::vector<float> by_x(std::size_t(y.cols)), by_y(by_x.size());
  for (int r = 0; r < y.rows; ++r) {
    const PatchPosition at = patches.positions[std::size_t(r)];
    std::ranges::fill(by_x, 0.0F);
    std::ranges::fill(by_y, 0.0F);
    if (at.x != -1) w.positions_x.row(int(at.x), by_x);  // each axis by itself
    if (at.y != -1) w.positions_y.row(int(at.y), by_y);
    for (std::size_t c = 0; c < by_x.size(); ++c) y.row(r)[c] += by_x[c] + by_y[c];
  }
  vision.ops.layer_norm(y.view(), w.pos_norm, w.pos_norm_bias, eps);
  return y;
}

Grid attn_norm(const VisionLayer& layer, Rows<const float> in) {
  return normed(layer, in, layer.weights.input_layernorm);
}

Grid project_q(const VisionLayer& layer, Rows<const float> x) {
  return projected_heads(layer, x, layer.weights.q_proj, layer.weights.q_norm);
}

Grid project_k(const VisionLayer& layer, Rows<const float> x) {
  return projected_heads(layer, x, layer.weights.k_proj, layer.weights.k_norm);
}

Grid project_v(const VisionLayer& layer, Rows<const float> x) {
  return projected_heads(layer, x, layer.weights.v_proj, {});
}

void rotate(const VisionLayer& layer, const Patches& patches, Rows<float> x) {
  layer.ops.rope(x, layer.plan.head_dim, patches.positions, layer.plan.rope);
}

void visible(std::span<const PatchPosition> item, std::span<char> seen) {
  for (std::size_t i = 0; i < item.size(); ++i) seen[i] = item[i].padding() ? 0 : 1;
}

Grid attend(const VisionLayer& layer, const Patches& patches, Rows<const float> q, Rows<const float> k,
            Rows<const float> v) {
  Grid ctx(q.rows, q.cols);
  for (const Patches::Item item : patches.items) {
    std::vector<char> seen(std::size_t(item.length));
    layer.ops.visible(patches.of(item), seen);
    const Rows<const float> keys = k.slice(item.first, item.length), values = v.slice(item.first, item.length);
#pragma omp parallel for if (worth_threads(std::int64_t{item.length} * q.cols * item.length * 2))
    for (int row = item.first; row < item.first + item.length; ++row)
      attention(q.row(row), keys, values, seen, layer.plan.head_dim, ctx.row(row));
  }
  return ctx;
}

Grid project_out(const VisionLayer& layer, Rows<const float> ctx) {
  return layer.ops.linear(ctx, layer.weights.o_proj);
}

Grid add_attn(const VisionLayer& layer, Rows<const float> in, Rows<const float> attn_out) {
  return sum(in, normed(layer, attn_out, layer.weights.post_attention_layernorm).view());
}

Grid ffn_norm(const VisionLayer& layer, Rows<const float> post_attn) {
  return normed(layer, post_attn, layer.weights.pre_feedforward_layernorm);
}

Grid mlp(const VisionLayer& layer, Rows<const float> x) {
  Grid gate = layer.ops.linear(x, layer.weights.gate_proj);
  const Grid up = layer.ops.linear(x, layer.weights.up_proj);
  layer.ops.activate(gate.values, layer.activation);
  for (std::size_t i = 0; i < gate.values.size(); ++i) gate.values[i] *= up.values[i];
  return layer.ops.linear(gate.view(), layer.weights.down_proj);
}

Grid add_ffn(const VisionLayer& layer, Rows<const float> post_attn, Rows<const float> mlp) {
  return sum(post_attn, normed(layer, mlp, layer.weights.post_feedforward_layernorm).view());
}

namespace {

/// The soft tokens of one item, [cells, hidden], without cells that no patch falls into.
Grid pool_item(const VisionPlan& plan, std::span<const PatchPosition> positions, Rows<const float> x) {
  const int cells = x.rows / (plan.pool * plan.pool);
  const int of_a_cell = x.rows / cells;
  const auto side = std::int64_t(std::sqrt(double(of_a_cell)));
  std::int64_t width = 1;
  for (const PatchPosition& at : positions) width = std::max(width, at.x + 1);
  const float share = 1.0F / float(side * side);

  std::vector<double> sums(std::size_t(cells) * std::size_t(x.cols), 0);
  std::vector<char> hit(std::size_t(cells), 0);
  for (int r = 0; r < x.rows; ++r) {
    const PatchPosition at = positions[std::size_t(r)];
    const auto cell =
        std::size_t(std::max<std::int64_t>(at.x, 0) / side + width / side * (std::max<std::int64_t>(at.y, 0) / side));
    hit[cell] = 1;
    if (at.padding()) continue;  // zeros
    for (std::size_t c = 0; c < std::size_t(x.cols); ++c)
      sums[cell * std::size_t(x.cols) + c] += double{x.row(r)[c]} * share;
  }
  Grid pooled(int(std::ranges::count(hit, 1)), x.cols);
  int row = 0;
  for (std::size_t cell = 0; cell < hit.size(); ++cell) {
    if (!hit[cell]) continue;
    for (std::size_t c = 0; c < std::size_t(x.cols); ++c)
      pooled.row(row)[c] = float(sums[cell * std::size_t(x.cols) + c]);
    ++row;
  }
  return pooled;
}

}  // namespace

Grid pool(const Vision& vision, const Patches& patches, Rows<const float> last) {
  Grid all(0, last.cols);
  for (const Patches::Item item : patches.items) {
    const Grid one = pool_item(vision.plan, patches.of(item), last.slice(item.first, item.length));
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
    all.rows += one.rows;
  }
  const float root = float(std::sqrt(double(vision.plan.hidden)));
  for (float& v : all.values) v *= root;
  return all;
}

Grid keep_real(const Vision&, const Patches& patches, Rows<const float> embedded) {
  Grid kept(0, embedded.cols);
  for (int r = 0; r < embedded.rows; ++r) {
    const PatchPosition at = patches.positions[std::size_t(r)];
    if (at.x == -1 || at.y == -1) continue;
    kept.values.insert(kept.values.end(), embedded.row(r).begin(), embedded.row(r).end());
    ++kept.rows;
  }
  return kept;
}

void standardize(const Vision& vision, Rows<float> pooled) {
  for (int r = 0; r < pooled.rows; ++r)
    for (std::size_t c = 0; c < std::size_t(pooled.cols); ++c)
      pooled.row(r)[c] = (pooled.row(r)[c] - vision.weights.std_bias[c]) * vision.weights.std_scale[c];
}

Grid project(const Vision& vision, Rows<const float> pooled) {
  Grid x(pooled), y(pooled.rows, vision.weights.embedding_projection.rows);
  vision.ops.rms_norm(x.view(), {}, vision.plan.eps);
  linear(x.view(), vision.weights.embedding_projection, {}, y.view());
  return y;
}

}  // namespace vision

VisionLayerOps vision_layer_ops() {
  return {.rms_norm = rms_norm,
          .linear = clipped_linear,
          .rope = rope_2d,
          .activate = activate,
          .attn_norm = vision::attn_norm,
          .project_q = vision::project_q,
          .project_k = vision::project_k,
          .project_v = vision::project_v,
          .rotate_q = vision::rotate,
          .rotate_k = vision::rotate,
          .visible = vision::visible,
          .attend = vision::attend,
          .project_out = vision::project_out,
          .add_attn = vision::add_attn,
          .ffn_norm = vision::ffn_norm,
          .mlp = vision::mlp,
          .add_ffn = vision::add_ffn};
}

VisionOps vision_ops(bool encoder_free) {
  return {.rms_norm = rms_norm,
          .layer_norm = layer_norm,
          .patch_embed = encoder_free ? vision::embed_pixels : vision::patch_embed,
          .pool = encoder_free ? vision::keep_real : vision::pool,
          .standardize = vision::standardize,
          .project = vision::project};
}

}  // namespace assay::reference
