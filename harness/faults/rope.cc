// Faults of rotary embedding: rows A2, A4 to A6, A23, I2.
#include "harness/faults/bend.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

int turning(const Rope& rope) {
  int pairs = 0;
  for (const float frequency : rope.inv_freq) pairs += frequency != 0;
  return pairs;
}

bool partial(const LayerPlan& layer) { return turning(layer.rope) < layer.head_dim / 2; }

/// Lane i of the turning prefix is paired with i + pairs: the prefix is treated as a head of its own.
void rope_inside_prefix(Rows<float> x, int head_dim, std::span<const std::int64_t> positions, const Rope& rope) {
  const std::size_t pairs = std::size_t(turning(rope));
  for (int token = 0; token < x.rows; ++token)
    for (std::size_t head = 0; head < std::size_t(x.cols); head += std::size_t(head_dim))
      for (std::size_t i = 0; i < pairs; ++i) {
        const float angle = float(positions[std::size_t(token)]) * rope.inv_freq[i];
        float& low = x.row(token)[head + i];
        float& high = x.row(token)[head + i + pairs];
        const float l = low, h = high;
        low = l * std::cos(angle) - h * std::sin(angle);
        high = h * std::cos(angle) + l * std::sin(angle);
      }
}

/// Lanes 2i and 2i + 1 form pair i, as GPT-J has them.
void rope_interleaved(Rows<float> x, int head_dim, std::span<const std::int64_t> positions, const Rope& rope) {
  for (int token = 0; token < x.rows; ++token)
    for (std::size_t head = 0; head < std::size_t(x.cols); head += std::size_t(head_dim))
      for (std::size_t i = 0; i < rope.inv_freq.size(); ++i) {
        const float angle = float(positions[std::size_t(token)]) * rope.inv_freq[i];
        float& even = x.row(token)[head + 2 * i];
        float& odd = x.row(token)[head + 2 * i + 1];
        const float e = even, o = odd;
        even = e * std::cos(angle) - o * std::sin(angle);
        odd = o * std::cos(angle) + e * std::sin(angle);
      }
}

/// A fault that replaces the table of the layers of a kind.
Fault table(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
            Which which, std::function<std::vector<float>(const Parts&, const LayerPlan&)> frequencies) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::attn_q_rope, which),
          .inject = [which, frequencies](Parts& oracle) {
            const Parts before = oracle;
            return each(oracle, which,
                        [&](Layer& layer) { layer.plan.rope.inv_freq = frequencies(before, layer.plan); });
          }};
}

const LayerPlan& first(const Parts& parts, const Which& which) {
  for (const Layer& layer : parts.layers)
    if (which(layer.plan)) return layer.plan;
  return parts.layers[0].plan;
}

Fault positions_edit(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                     std::int64_t (*edit)(std::int64_t)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::attn_q_rope),
          .inject = [edit](Parts& oracle) {
            oracle.ops.extend = [edit](const Sequence& before, const Forward& call) -> Result<Sequence> {
              ASSAY_TRY(sequence, reference::extend(before, call));
              for (std::int64_t& position : sequence.positions) position = edit(position);
              return sequence;
            };
            return true;
          }};
}

}  // namespace

std::vector<Fault> rope_faults() {
  return {
      {.name = "rope-global-short",
       .row = "A2",
       .what = "Global layers pair lane i with i + pairs instead of i + head_dim / 2.",
       .shipped_in = "NVIDIA-NeMo/Megatron-Bridge#4195",
       .shows_at = at(Tap::attn_q_rope, partial),
       .inject =
           [](Parts& oracle) {
             return each(oracle, partial, [](Layer& layer) { layer.ops.rope = rope_inside_prefix; });
           }},
      table("rope-global-denominator", "A2",
            "Frequencies of global layers are spread over the turning lanes instead of head_dim.",
            "NVIDIA-NeMo/Megatron-Bridge#4916", partial,
            [](const Parts&, const LayerPlan& layer) {
              const int pairs = turning(layer.rope);
              std::vector<float> table = inverse_frequencies(layer.rope.theta, 2 * pairs, pairs, 1);
              table.resize(std::size_t(layer.head_dim) / 2, 0.0F);
              return table;
            }),
      table("rope-global-full", "A4", "Global layers turn every pair: partial_rotary_factor is ignored.",
            "jagmarques/nexusquant#12", partial,
            [](const Parts&, const LayerPlan& layer) {
              return inverse_frequencies(layer.rope.theta, layer.head_dim, layer.head_dim / 2, 1);
            }),
      {.name = "rope-interleaved",
       .row = "A5",
       .what = "Neighbouring lanes form a pair, on weights made for half-split pairs.",
       .shipped_in = "mlc-ai/mlc-llm#3485",
       .shows_at = at(Tap::attn_q_rope),
       .inject =
           [](Parts& oracle) { return each(oracle, any, [](Layer& layer) { layer.ops.rope = rope_interleaved; }); }},
      table("rope-sliding-theta-everywhere", "A6", "Global layers use the sliding layers' theta.",
            "pytorch/executorch#18695", global,
            [](const Parts& parts, const LayerPlan& layer) {
              return inverse_frequencies(first(parts, sliding).rope.theta, layer.head_dim, turning(layer.rope), 1);
            }),
      table("rope-global-theta-everywhere", "A6", "Sliding layers use the global layers' theta.",
            "pytorch/executorch#18695", sliding,
            [](const Parts& parts, const LayerPlan& layer) {
              return inverse_frequencies(first(parts, global).rope.theta, layer.head_dim, turning(layer.rope), 1);
            }),
      table(
          "rope-thetas-at-default", "A6", "Both thetas are taken as 10000, whatever the config says.",
          "pytorch/executorch#18695", [](const LayerPlan& layer) { return layer.rope.theta != 10000; },
          [](const Parts&, const LayerPlan& layer) {
            return inverse_frequencies(10000, layer.head_dim, turning(layer.rope), 1);
          }),
      table("rope-sliding-partial", "A4", "Sliding layers turn only the share of lanes that global layers turn.",
            "class of A4", sliding,
            [](const Parts& parts, const LayerPlan& layer) {
              const LayerPlan& whole = first(parts, global);
              const int pairs = std::max(1, turning(whole.rope) * layer.head_dim / whole.head_dim);
              return inverse_frequencies(layer.rope.theta, layer.head_dim, pairs, 1);
            }),
      table("rope-other-head-dim", "A23", "Sliding layers use frequencies made for the global head size.",
            "ml-explore/mlx-lm 6e2e94df", sliding,
            [](const Parts& parts, const LayerPlan& layer) {
              const int other = first(parts, global).head_dim;
              std::vector<float> table = inverse_frequencies(layer.rope.theta, other, other / 2, 1);
              table.resize(std::size_t(layer.head_dim) / 2, 0.0F);
              return table;
            }),
      {.name = "rope-other-direction",
       .row = "x",
       .what = "Pairs turn the other way.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_q_rope),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               for (float& frequency : layer.plan.rope.inv_freq) frequency = -frequency;
             });
           }},
      {.name = "rope-on-value",
       .row = "x",
       .what = "V is rotated as K is.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_ctx),
       .inject =
           [](Parts& oracle) {
             return each(oracle, owns_kv, [](Layer& layer) {
               layer.ops.append = [](const Layer& self, const Sequence& sequence, std::span<KvCache> caches,
                                     const KeysValues& kv) {
                 KeysValues turned = kv;
                 self.ops.rotate_k(self, sequence, turned.v.view());
                 reference::append(self, sequence, caches, turned);
               };
             });
           }},
      positions_edit("positions-from-one", "x", "Positions count from 1.", "", [](std::int64_t p) { return p + 1; }),
      positions_edit("positions-in-bf16", "I2", "Positions are built in bf16, which has no odd integers above 256.",
                     "oarriaga/paz#415", [](std::int64_t p) { return std::int64_t(through_bf16(float(p))); }),
      positions_edit("positions-clamped", "x",
                     "Positions stop at 255: a table of 256 rows is clamped instead of grown.", "",
                     [](std::int64_t p) { return std::min<std::int64_t>(p, 255); }),
  };
}

}  // namespace assay
