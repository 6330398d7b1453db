// Faults of the vision tower's attention and of its rotary embedding: rows D3, E11.
#include "harness/faults/bend_towers.h"
#include "reference/ops/attention.h"
#include "reference/ops/dot.h"
#include "reference/ops/rope.h"
#include "reference/ops/softmax.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

using Seen = void (*)(std::span<const PatchPosition> item, std::size_t query, std::span<char> seen);

/// The attention with a mask of each query's own.
Fault mask(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Seen see) {
  return in_vision_layers(name, row, what, shipped_in, Tap::vision_attn_ctx, [see](VisionLayer& l) {
    l.ops.attend = [see](const VisionLayer& self, const Patches& patches, Rows<const float> q, Rows<const float> k,
                         Rows<const float> v) {
      Grid ctx(q.rows, q.cols);
      for (const Patches::Item item : patches.items) {
        std::vector<char> seen(std::size_t(item.length));
        for (int i = 0; i < item.length; ++i) {
          see(patches.of(item), std::size_t(i), seen);
          reference::attention(q.row(item.first + i), k.slice(item.first, item.length),
                               v.slice(item.first, item.length), seen, self.plan.head_dim, ctx.row(item.first + i));
        }
      }
      return ctx;
    };
  });
}

/// What a mask of zeros and ones does that is added to the scores.
Grid attend_with_ones_added(const VisionLayer& self, const Patches& patches, Rows<const float> q, Rows<const float> k,
                            Rows<const float> v) {
  const auto d = std::size_t(self.plan.head_dim), group = std::size_t(self.plan.heads / self.plan.kv_heads);
  Grid ctx(q.rows, q.cols);
  for (const Patches::Item item : patches.items)
    for (int row = item.first; row < item.first + item.length; ++row)
      for (std::size_t head = 0; head < std::size_t(self.plan.heads); ++head) {
        const auto part = [&](Rows<const float> x, int key) {
          return x.row(item.first + key).subspan(head / group * d, d);
        };
        std::vector<float> weights(std::size_t(item.length));
        for (int key = 0; key < item.length; ++key)
          weights[std::size_t(key)] = reference::dot(q.row(row).subspan(head * d, d), part(k, key)) +
                                      (patches.of(item)[std::size_t(key)].padding() ? 0.0F : 1.0F);
        reference::softmax(weights, {});
        for (int key = 0; key < item.length; ++key)
          for (std::size_t c = 0; c < d; ++c) ctx.row(row)[head * d + c] += weights[std::size_t(key)] * part(v, key)[c];
      }
  return ctx;
}

using Turn = void(Rows<float> x, int head_dim, std::span<const PatchPosition>, const Rope& rope);

Fault turn(std::string_view name, std::string_view what, std::function<Turn> replacement) {
  return in_vision_layers(name, "x", what, "", Tap::vision_attn_q_rope,
                          [replacement](VisionLayer& l) { l.ops.rope = replacement; });
}

/// A fault of the frequencies alone.
Fault table(std::string_view name, std::string_view what, std::vector<float> (*frequencies)(const VisionLayerPlan&)) {
  return in_vision_layers(name, "x", what, "", Tap::vision_attn_q_rope,
                          [frequencies](VisionLayer& l) { l.plan.rope.inv_freq = frequencies(l.plan); });
}

/// Lanes a and b of every head turn by position times frequency.
void turn_pair(Rows<float> x, int patch, std::size_t head, std::size_t a, std::size_t b, float angle_a, float angle_b) {
  float &low = x.row(patch)[head + a], &high = x.row(patch)[head + b];
  const float l = low, h = high;
  low = l * std::cos(angle_a) - h * std::sin(angle_a);
  high = h * std::cos(angle_b) + l * std::sin(angle_b);
}

void interleaved(Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope) {
  const auto d = std::size_t(head_dim);
  for (int r = 0; r < x.rows; ++r)
    for (std::size_t head = 0; head < std::size_t(x.cols); head += d)
      for (std::size_t i = 0; i < d / 2; ++i) {
        const PatchPosition at = positions[std::size_t(r)];
        const float angle = float(i < d / 4 ? at.x : at.y) * rope.inv_freq[i % (d / 4)];
        turn_pair(x, r, head, 2 * i, 2 * i + 1, angle, angle);
      }
}

/// cos and sin are [x x y y], but halves are those of the whole head.
void across_axes(Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope) {
  const auto d = std::size_t(head_dim);
  for (int r = 0; r < x.rows; ++r)
    for (std::size_t head = 0; head < std::size_t(x.cols); head += d)
      for (std::size_t i = 0; i < d / 2; ++i) {
        const PatchPosition at = positions[std::size_t(r)];
        const float frequency = rope.inv_freq[i % (d / 4)];
        turn_pair(x, r, head, i, i + d / 2, float(at.x) * frequency, float(at.y) * frequency);
      }
}

/// The text's RoPE over the patches' numbers.
void one_axis(const VisionLayer& self, const Patches& patches, Rows<float> x) {
  std::vector<std::int64_t> numbers;
  for (const Patches::Item item : patches.items)
    for (int i = 0; i < item.length; ++i) numbers.push_back(i);
  const int d = self.plan.head_dim;
  reference::rope(x, d, numbers, {self.plan.rope.theta, inverse_frequencies(self.plan.rope.theta, d, d / 2, 1)});
}

void see_all(std::span<const PatchPosition>, std::size_t, std::span<char> seen) { std::ranges::fill(seen, char{1}); }

}  // namespace

std::vector<Fault> vision_attention_faults() {
  return {
      in_vision_layers("vision-q-norm-missing", "x", "The tower's queries are not normed.", "", Tap::vision_attn_q,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_but_of(l.weights.q_norm); }),
      in_vision_layers("vision-k-norm-missing", "x", "The tower's keys are not normed.", "", Tap::vision_attn_k,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_but_of(l.weights.k_norm); }),
      in_vision_layers("vision-v-norm-missing", "A7", "The tower's values are not normed.", "class of A7",
                       Tap::vision_attn_v, [](VisionLayer& l) { l.ops.rms_norm = norm_but_of({}); }),
      in_vision_layers("vision-v-norm-weighted", "A7", "The tower's values are normed with k_norm's weight.",
                       "class of A7", Tap::vision_attn_v,
                       [](VisionLayer& l) {
                         l.ops.rms_norm = [k = l.weights.k_norm](Rows<float> x, std::span<const float> weight,
                                                                 float eps) {
                           reference::rms_norm(x, weight.empty() ? k : weight, eps);
                         };
                       }),
      in_vision_layers("vision-attention-scaled", "A1", "The tower scales its scores by 1/sqrt(d), as SigLIP does.",
                       "class of A1", Tap::vision_attn_ctx,
                       [](VisionLayer& l) {
                         l.ops.attend = [](const VisionLayer& self, const Patches& patches, Rows<const float> q,
                                           Rows<const float> k, Rows<const float> v) {
                           Grid scaled(q);
                           scale(scaled.view(), 1 / std::sqrt(float(self.plan.head_dim)));
                           return reference::vision::attend(self, patches, scaled.view(), k, v);
                         };
                       }),
      mask("vision-padding-attended", "D3", "Patches of padding are attended to.", "quic/efficient-transformers#1159",
           see_all),
      in_vision_layers("vision-mask-of-ones-added", "D3", "A mask of zeros and ones is added to the scores.",
                       "quic/efficient-transformers#1159", Tap::vision_attn_ctx,
                       [](VisionLayer& l) { l.ops.attend = attend_with_ones_added; }),
      mask("vision-mask-inverted", "E11", "A boolean mask is taken the other way round: only padding is seen.",
           "huggingface/transformers#48818",
           [](std::span<const PatchPosition> item, std::size_t, std::span<char> seen) {
             for (std::size_t i = 0; i < item.size(); ++i) seen[i] = item[i].padding() ? 1 : 0;
           }),
      mask("vision-attention-causal", "x", "Patches see those before them alone, as tokens do.", "",
           [](std::span<const PatchPosition> item, std::size_t query, std::span<char> seen) {
             for (std::size_t i = 0; i < item.size(); ++i) seen[i] = i <= query && !item[i].padding() ? 1 : 0;
           }),
      in_vision_layers("pictures-see-each-other", "B18", "The patches of all pictures and frames attend to each other.",
                       "class of B18", Tap::vision_attn_ctx,
                       [](VisionLayer& l) {
                         l.ops.attend = [](const VisionLayer& self, const Patches& patches, Rows<const float> q,
                                           Rows<const float> k, Rows<const float> v) {
                           Patches one = patches;
                           one.items = {{0, q.rows}};
                           return reference::vision::attend(self, one, q, k, v);
                         };
                       }),
      {.name = "vision-kv-heads-interleaved",
       .row = "x",
       .what = "The tower's query head h reads K/V head h mod n instead of h / group.",
       .shipped_in = "",
       .shows_at = tower(Tap::vision_attn_ctx),
       .inject =
           [](Parts& oracle) {
             if (!oracle.vision || oracle.vision->layers.empty()) return false;
             const VisionLayerPlan& plan = oracle.vision->layers[0].plan;
             if (plan.kv_heads == plan.heads || plan.kv_heads == 1) return false;
             return vision_layers(oracle, [](VisionLayer& l) {
               l.ops.attend = [](const VisionLayer& self, const Patches& patches, Rows<const float> q,
                                 Rows<const float> k, Rows<const float> v) {
                 Grid keys(q.rows, q.cols), values(q.rows, q.cols);  // one K/V head a query head
                 for (int r = 0; r < q.rows; ++r)
                   for (std::size_t c = 0; c < std::size_t(q.cols); ++c) {
                     keys.row(r)[c] = k.row(r)[c % std::size_t(k.cols)];
                     values.row(r)[c] = v.row(r)[c % std::size_t(v.cols)];
                   }
                 return reference::vision::attend(self, patches, q, keys.view(), values.view());
               };
             });
           }},
      turn("vision-rope-missing", "The tower has no rotary embedding: the position table is thought to be enough.",
           [](Rows<float>, int, std::span<const PatchPosition>, const Rope&) {}),
      turn("vision-rope-x-y-swapped", "The first half of a head turns by the row, the second by the column.",
           [](Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope) {
             std::vector<PatchPosition> swapped;
             for (const PatchPosition at : positions) swapped.push_back({at.y, at.x});
             reference::rope_2d(x, head_dim, swapped, rope);
           }),
      turn("vision-rope-without-rows", "Only the half of a head that stands for the column turns.",
           [](Rows<float> x, int head_dim, std::span<const PatchPosition> positions, const Rope& rope) {
             std::vector<PatchPosition> columns;
             for (const PatchPosition at : positions) columns.push_back({at.x, 0});
             reference::rope_2d(x, head_dim, columns, rope);
           }),
      turn("vision-rope-interleaved", "Pairs are lanes 2i and 2i + 1 instead of halves of a half.", interleaved),
      turn("vision-rope-across-axes", "Pairs are lanes i and i + d/2: rotate_half is applied to the whole head.",
           across_axes),
      in_vision_layers("vision-rope-one-axis", "x", "The whole head turns by the patch's number in raster order.", "",
                       Tap::vision_attn_q_rope, [](VisionLayer& l) { l.ops.rotate_q = l.ops.rotate_k = one_axis; }),
      in_vision_layers("vision-rope-on-queries-alone", "x", "The tower's keys are not turned.", "",
                       Tap::vision_attn_k_rope,
                       [](VisionLayer& l) { l.ops.rotate_k = [](const VisionLayer&, const Patches&, Rows<float>) {}; }),
      table("vision-rope-text-theta", "The tower's theta is the text's 10000.",
            [](const VisionLayerPlan& plan) {
              return inverse_frequencies(1e4, plan.head_dim / 2, plan.head_dim / 4, 1);
            }),
      table("vision-rope-exponent-over-head", "The exponent's denominator is the whole head instead of half of it.",
            [](const VisionLayerPlan& plan) {
              std::vector<float> all = inverse_frequencies(plan.rope.theta, plan.head_dim, plan.head_dim / 2, 1);
              all.resize(plan.rope.inv_freq.size());
              return all;
            }),
  };
}

}  // namespace assay
