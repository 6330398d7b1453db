// Faults of projections, head layout and V: rows A1, A7 to A9, A23.
#include "harness/faults/bend.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

std::vector<Fault> attention_faults() {
  return {
      {.name = "attention-scaled",
       .row = "A1",
       .what = "Scores are divided by sqrt(head_dim) although q_norm and k_norm already set their size.",
       .shipped_in = "AI-Hypercomputer/maxtext#4938",
       .shows_at = at(Tap::attn_ctx),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.attend = [](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                     const KvCache& kv) {
                 Grid scaled(q);
                 scale(scaled.view(), 1.0F / std::sqrt(float(self.plan.head_dim)));
                 return reference::attend(self, sequence, scaled.view(), kv);
               };
             });
           }},
      {.name = "qk-norm-missing",
       .row = "A1",
       .what = "Queries and keys are not normed, as if use_qk_norm were false.",
       .shipped_in = "AI-Hypercomputer/maxtext#4938",
       .shows_at = at(Tap::attn_q),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.project_q = [](const Layer& self, Rows<const float> x) {
                 return reference::apply(self, x, self.weights.q_proj, self.weights.q_bias);
               };
             });
           }},
      {.name = "q-norm-weight-on-k",
       .row = "x",
       .what = "Keys are normed with the queries' weight.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_k, owns_kv),
       .inject =
           [](Parts& oracle) {
             return each(oracle, owns_kv, [](Layer& layer) { layer.weights.k_norm = layer.weights.q_norm; });
           }},
      {.name = "v-norm-missing",
       .row = "A7",
       .what = "V is not normed.",
       .shipped_in = "kekzl/imp#552",
       .shows_at = at(Tap::attn_v, owns_kv),
       .inject =
           [](Parts& oracle) {
             return each(oracle, owns_kv, [](Layer& layer) {
               layer.ops.project_kv = [](const Layer& self, Rows<const float> x) {
                 KeysValues kv = reference::project_kv(self, x);
                 kv.v = self.plan.value_is_key ? reference::apply(self, x, self.weights.k_proj, self.weights.k_bias)
                                               : reference::apply(self, x, self.weights.v_proj, self.weights.v_bias);
                 return kv;
               };
             });
           }},
      {.name = "v-norm-weighted",
       .row = "A7",
       .what = "V's norm is given k_norm's weight.",
       .shipped_in = "kekzl/imp#552",
       .shows_at = at(Tap::attn_v, owns_kv),
       .inject =
           [](Parts& oracle) {
             return each(oracle, owns_kv, [](Layer& layer) {
               layer.ops.project_kv = [](const Layer& self, Rows<const float> x) {
                 KeysValues kv = reference::project_kv(self, x);
                 for (std::size_t i = 0; i < kv.v.values.size(); ++i)
                   kv.v.values[i] *= self.weights.k_norm[i % std::size_t(self.plan.head_dim)];
                 return kv;
               };
             });
           }},
      {.name = "value-after-k-norm",
       .row = "A8",
       .what = "Where V is K, V is taken after k_norm instead of before.",
       .shipped_in = "ml-explore/mlx-swift-lm#231",
       .shows_at = at(Tap::attn_v, value_is_key),
       .inject =
           [](Parts& oracle) {
             return each(oracle, value_is_key, [](Layer& layer) {
               layer.ops.project_kv = [](const Layer& self, Rows<const float> x) {
                 KeysValues kv = reference::project_kv(self, x);
                 kv.v = kv.k;
                 self.ops.rms_norm(
                     {kv.v.values.data(), int(kv.v.values.size()) / self.plan.head_dim, self.plan.head_dim}, {},
                     self.eps);
                 return kv;
               };
             });
           }},
      {.name = "value-after-rope",
       .row = "A8",
       .what = "Where V is K, V is the normed and rotated K that goes into the cache.",
       .shipped_in = "ml-explore/mlx-swift-lm#300, NVIDIA-NeMo/Megatron-Bridge#4683",
       .shows_at = at(Tap::attn_ctx, value_is_key),
       .inject =
           [](Parts& oracle) {
             return each(oracle, value_is_key, [](Layer& layer) {
               layer.ops.append = [](const Layer& self, const Sequence& sequence, std::span<KvCache> caches,
                                     const KeysValues& kv) {
                 reference::append(self, sequence, caches, {kv.k, kv.k});
               };
             });
           }},
      {.name = "value-is-key-everywhere",
       .row = "A9",
       .what = "V is taken from k_proj on sliding layers too.",
       .shipped_in = "class of A8",
       .shows_at = at(Tap::attn_v, [](const LayerPlan& layer) { return owns_kv(layer) && sliding(layer); }),
       .inject =
           [](Parts& oracle) {
             bool some = each(oracle, value_is_key, [](Layer&) {});
             return some && each(oracle, sliding, [](Layer& layer) { layer.plan.value_is_key = true; });
           }},
      {.name = "kv-heads-interleaved",
       .row = "x",
       .what = "Query head h reads K/V head h mod kv_heads instead of h / group.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_ctx,
                      [](const LayerPlan& layer) { return layer.kv_heads > 1 && layer.kv_heads < layer.q_heads; }),
       .inject =
           [](Parts& oracle) {
             const auto grouped = [](const LayerPlan& layer) {
               return layer.kv_heads > 1 && layer.kv_heads < layer.q_heads;
             };
             return each(oracle, grouped, [](Layer& layer) {
               layer.ops.attend = [](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                     const KvCache& kv) {
                 // The query heads put in the order in which their K/V heads come, attended, and put back.
                 const int d = self.plan.head_dim, heads = self.plan.q_heads, kv_heads = self.plan.kv_heads;
                 const int group = heads / kv_heads;
                 const auto moved = [&](Rows<const float> from, bool back) {
                   Grid to(from.rows, from.cols);
                   for (int r = 0; r < from.rows; ++r)
                     for (int head = 0; head < heads; ++head) {
                       const int place = head % kv_heads * group + head / kv_heads;
                       const auto [source, target] = back ? std::pair(place, head) : std::pair(head, place);
                       for (int i = 0; i < d; ++i)
                         to.row(r)[std::size_t(target * d + i)] = from.row(r)[std::size_t(source * d + i)];
                     }
                   return to;
                 };
                 return moved(reference::attend(self, sequence, moved(q, false).view(), kv).view(), true);
               };
             });
           }},
      {.name = "layer-pattern-5-to-1",
       .row = "A22",
       .what =
           "Every sixth layer is taken for a global one, although this model has another pattern (E2B: every fifth).",
       .shipped_in = "the published configurations",
       .shows_at = [](const Plan& plan) -> std::optional<TapId> {
         for (int i = 0; i < int(plan.layers.size()); ++i)
           if ((plan.layers[std::size_t(i)].window > 0) != ((i + 1) % 6 != 0)) return TapId{Tap::attn_q_rope, i};
         return std::nullopt;
       },
       .inject =
           [](Parts& oracle) {
             const auto first = [&](const Which& which) -> LayerPlan {
               for (const Layer& layer : oracle.layers)
                 if (which(layer.plan)) return layer.plan;
               return oracle.layers[0].plan;
             };
             const LayerPlan local = first(sliding), whole = first(global);
             if (local.window == 0 || whole.window > 0) return false;
             bool changed = false;
             for (Layer& layer : oracle.layers) {
               const bool slides = (layer.index + 1) % 6 != 0;
               if (slides == (layer.plan.window > 0)) continue;
               const LayerPlan& kind = slides ? local : whole;
               layer.plan.window = kind.window;  // head sizes stay as the tensors have them
               layer.plan.rope.inv_freq =
                   inverse_frequencies(kind.rope.theta, layer.plan.head_dim, layer.plan.head_dim / 2, 1);
               changed = true;
             }
             return changed;
           }},
      {.name = "post-attention-norm-missing",
       .row = "x",
       .what = "The attention's output is added to the residual without post_attention_layernorm.",
       .shipped_in = "",
       .shows_at = at(Tap::post_attn),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.add_attn = [](const Layer&, Rows<const float> in, Rows<const float> out) {
                 return reference::sum(in, out);
               };
             });
           }},
      {.name = "post-attention-norm-after-add",
       .row = "x",
       .what = "post_attention_layernorm is applied to the sum instead of the branch.",
       .shipped_in = "",
       .shows_at = at(Tap::post_attn),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.add_attn = [](const Layer& self, Rows<const float> in, Rows<const float> out) {
                 return reference::normed(self, reference::sum(in, out).view(), self.weights.post_attention_layernorm);
               };
             });
           }},
  };
}

}  // namespace assay
