#include "reference/step.h"

#include <utility>

#include "reference/blocks.h"
#include "reference/step_towers.h"

namespace assay::reference {
namespace {

/// The inputs of one step, read by name.
class Inputs {
 public:
  Inputs(const Parts& parts, std::span<const NamedTensor> given) : parts_(parts), given_(given) {}

  /// A tap as [tokens, columns].
  Result<Grid> tap(Tap tap, int layer) const {
    const TapId id{tap, layer};
    const Tensor* tensor = find(given_, id.name());
    if (tensor == nullptr) return fail({Failure::bad_input, "step", id.name(), "this input", "none"});
    const int columns = assay::columns(parts_.plan, id);
    if (tensor->shape.size() < 2 || columns == 0 || tensor->elements() % columns != 0 || tensor->elements() == 0)
      return fail({Failure::bad_input, "step", id.name(), "[B, T, ...] of " + std::to_string(columns) + " columns",
                   shape_text(tensor->shape)});
    ASSAY_TRY(values, tensor->floats());
    Grid grid;
    grid.rows = int(std::int64_t(values.size()) / columns);
    grid.cols = columns;
    grid.values = std::move(values);
    return grid;
  }

  std::span<const NamedTensor> all() const { return given_; }

  /// What a layer starts from: the output of the layer before, or the embeddings.
  Result<Grid> in(int layer) const { return layer == 0 ? tap(Tap::embed, -1) : tap(Tap::out, layer - 1); }

  Result<std::vector<std::int64_t>> ids() const {
    const Tensor* tensor = assay::find(given_, "input_ids");
    if (tensor == nullptr) return fail({Failure::bad_input, "step", "input_ids", "this input", "none"});
    return tensor->integers();
  }

  /// The sequence as one call without a cache; ids matter only for their shape, which the tap `like` has too.
  Result<Sequence> sequence(Tap like, int layer) const {
    const Tensor* shaped = find(given_, TapId{like, layer}.name());
    if (shaped == nullptr || shaped->shape.size() < 2)
      return fail({Failure::bad_input, "step", TapId{like, layer}.name(), "[B, T, ...]", "none"});
    const int batch = int(shaped->shape[0]), tokens = int(shaped->shape[1]);
    const std::vector<std::int64_t> ids(std::size_t(batch) * std::size_t(tokens), 0);
    std::vector<std::int64_t> mask;
    if (const Tensor* given = find(given_, "attention_mask"); given != nullptr) {
      ASSAY_TRY(values, given->integers());
      if (values.size() != ids.size())
        return fail({Failure::bad_input, "step", "attention_mask", std::to_string(ids.size()) + " values",
                     shape_text(given->shape)});
      mask = std::move(values);
    }
    Forward call{.ids = {ids.data(), batch, tokens}, .mask = {}, .more = given_, .cache = Cache::none};
    if (!mask.empty()) call.mask = {mask.data(), batch, tokens};
    return parts_.ops.extend({}, call);
  }

 private:
  const Parts& parts_;
  std::span<const NamedTensor> given_;
};

Result<Grid> rotated(const Inputs& inputs, const Layer& layer, Tap from, bool is_query) {
  ASSAY_TRY(grid, inputs.tap(from, layer.index));
  ASSAY_TRY(sequence, inputs.sequence(from, layer.index));
  (is_query ? layer.ops.rotate_q : layer.ops.rotate_k)(layer, sequence, grid.view());
  return grid;
}

Result<Grid> attended(const Inputs& inputs, const Parts& parts, const Layer& layer) {
  const int donor = layer.plan.kv.layer;
  ASSAY_TRY(q, inputs.tap(Tap::attn_q_rope, layer.index));
  ASSAY_TRY(k, inputs.tap(Tap::attn_k_rope, donor));
  ASSAY_TRY(v, inputs.tap(Tap::attn_v, donor));
  ASSAY_TRY(sequence, inputs.sequence(Tap::attn_q_rope, layer.index));
  if (k.rows != q.rows || v.rows != q.rows)
    return fail({Failure::bad_input, "step", TapId{Tap::attn_k_rope, donor}.name(), std::to_string(q.rows) + " rows",
                 std::to_string(k.rows)});
  std::vector<KvCache> caches(parts.layers.size());
  caches[std::size_t(donor)].reset(sequence.batch, k.cols);
  caches[std::size_t(donor)].append(k.view(), v.view());
  return layer.ops.attend(layer, sequence, q.view(), caches[std::size_t(donor)]);
}

Result<Grid> made(const Inputs& inputs, const Parts& parts, TapId id) {
  if (id.layer < 0) {
    switch (id.tap) {
      case Tap::embed: {
        ASSAY_TRY(ids, inputs.ids());
        Grid embeds = parts.ops.embed(parts, ids);
        ASSAY_TRY(soft, soft_tokens(parts, ids, inputs.all()));
        ASSAY_CHECK(parts.ops.merge(parts, ids, soft, embeds.view()));
        return embeds;
      }
      case Tap::ple: {
        ASSAY_TRY(embeds, inputs.tap(Tap::embed, -1));
        ASSAY_TRY(ids, inputs.ids());
        if (int(ids.size()) != embeds.rows)
          return fail({Failure::bad_input, "step", "input_ids", std::to_string(embeds.rows) + " ids",
                       std::to_string(ids.size())});
        return parts.ops.ple_inputs(parts, ids, embeds.view());
      }
      case Tap::norm: {
        ASSAY_TRY(last, inputs.tap(Tap::out, int(parts.layers.size()) - 1));
        return parts.ops.final_norm(parts, last.view());
      }
      default: {
        ASSAY_TRY(normed, inputs.tap(Tap::norm, -1));
        return parts.ops.logits(parts, normed.view());
      }
    }
  }
  const Layer& layer = parts.layers[std::size_t(id.layer)];
  const LayerOps& ops = layer.ops;
  const auto tap = [&](Tap which) { return inputs.tap(which, id.layer); };
  switch (id.tap) {
    case Tap::attn_norm: {
      ASSAY_TRY(in, inputs.in(id.layer));
      return ops.attn_norm(layer, in.view());
    }
    case Tap::attn_q: {
      ASSAY_TRY(x, tap(Tap::attn_norm));
      return ops.project_q(layer, x.view());
    }
    case Tap::attn_k: {
      ASSAY_TRY(x, tap(Tap::attn_norm));
      return ops.project_kv(layer, x.view()).k;
    }
    case Tap::attn_v: {
      ASSAY_TRY(x, tap(Tap::attn_norm));
      return ops.project_kv(layer, x.view()).v;
    }
    case Tap::attn_q_rope: return rotated(inputs, layer, Tap::attn_q, true);
    case Tap::attn_k_rope: return rotated(inputs, layer, Tap::attn_k, false);
    case Tap::attn_ctx: return attended(inputs, parts, layer);
    case Tap::attn_out: {
      ASSAY_TRY(ctx, tap(Tap::attn_ctx));
      return ops.project_out(layer, ctx.view());
    }
    case Tap::post_attn: {
      ASSAY_TRY(in, inputs.in(id.layer));
      ASSAY_TRY(out, tap(Tap::attn_out));
      return ops.add_attn(layer, in.view(), out.view());
    }
    case Tap::ffn_norm: {
      ASSAY_TRY(x, tap(Tap::post_attn));
      return ops.ffn_norm(layer, x.view());
    }
    case Tap::mlp: {
      ASSAY_TRY(x, tap(Tap::ffn_norm));
      return ops.mlp(layer, x.view());
    }
    case Tap::router_probs: {
      ASSAY_TRY(x, tap(Tap::post_attn));
      return ops.route(layer, x.view());
    }
    case Tap::router_topk: {
      ASSAY_TRY(probs, tap(Tap::router_probs));
      return ops.choose(layer, probs.view());
    }
    case Tap::experts: {
      ASSAY_TRY(x, tap(Tap::post_attn));
      ASSAY_TRY(chosen, tap(Tap::router_topk));
      return ops.experts(layer, x.view(), chosen.view());
    }
    case Tap::post_ffn: {
      ASSAY_TRY(x, tap(Tap::post_attn));
      ASSAY_TRY(mlp, tap(Tap::mlp));
      if (!layer.plan.experts) return ops.add_ffn(layer, x.view(), mlp.view(), {});
      ASSAY_TRY(experts, tap(Tap::experts));
      return ops.add_ffn(layer, x.view(), mlp.view(), experts.view());
    }
    case Tap::ple_out: {
      ASSAY_TRY(x, tap(Tap::post_ffn));
      ASSAY_TRY(ple, inputs.tap(Tap::ple, -1));
      return ops.ple_branch(layer, x.view(), ops.ple_slice(layer, {}, ple.view()).view());
    }
    default: {
      ASSAY_TRY(x, tap(Tap::post_ffn));
      if (layer.plan.ple_width == 0) return ops.tail(layer, x.view(), {});
      ASSAY_TRY(ple_out, tap(Tap::ple_out));
      return ops.tail(layer, x.view(), ple_out.view());
    }
  }
}

}  // namespace

Result<void> step_tap(const Parts& parts, TapId id, std::span<const NamedTensor> given, TapSink& taps) {
  const bool tower = part_of(id.tap) == TapPart::vision || part_of(id.tap) == TapPart::audio;
  ASSAY_TRY(grid, tower ? tower_tap(parts, id, given) : made(Inputs(parts, given), parts, id));
  taps.offer(id.tap, id.layer, [&] { return grid.view(); });
  return {};
}

}  // namespace assay::reference
