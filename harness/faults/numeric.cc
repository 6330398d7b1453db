// Faults of precision: rows I1, I3, I5, I7, and what must not count as one.
#include "harness/faults/bend.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault cache_format(std::string_view name, std::string_view what, int levels) {
  return {.name = name,
          .row = "I7",
          .what = what,
          .shipped_in = "ggml-org/llama.cpp#21513",
          .shows_at = at(Tap::attn_ctx, owns_kv),
          .inject = [levels](Parts& oracle) {
            return each(oracle, owns_kv, [levels](Layer& layer) {
              layer.ops.append = [levels](const Layer& self, const Sequence& sequence, std::span<KvCache> caches,
                                          const KeysValues& kv) {
                KeysValues rounded = kv;
                for (Grid* side : {&rounded.k, &rounded.v})
                  for (int r = 0; r < side->rows; ++r) through_blocks(side->row(r), levels);
                reference::append(self, sequence, caches, rounded);
              };
            });
          }};
}

}  // namespace

std::vector<Fault> numeric_faults() {
  return {
      {.name = "ffn-in-fp16",
       .row = "I1",
       .what = "The gated product is kept in fp16: rounded, and infinite beyond 65504.",
       .shipped_in = "unslothai/unsloth-zoo#600",
       .shows_at = at(Tap::mlp),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.mlp = [](const Layer& self, Rows<const float> x) {
                 Grid gate = reference::apply(self, x, self.weights.gate_proj);
                 const Grid up = reference::apply(self, x, self.weights.up_proj);
                 self.ops.activate(gate.values, self.activation);
                 for (std::size_t i = 0; i < gate.values.size(); ++i)
                   gate.values[i] = through_f16(gate.values[i] * up.values[i]);
                 return reference::apply(self, gate.view(), self.weights.down_proj);
               };
             });
           }},
      {.name = "cached-keys-in-bf16",
       .row = "I3",
       .what = "Rotated keys are fp32 in a whole prefill and bf16 once there is a cache to extend.",
       .shipped_in = "oarriaga/paz#415",
       .shows_at = at(Tap::attn_k_rope),
       .inject =
           [](Parts& oracle) {
             return each(oracle, owns_kv, [](Layer& layer) {
               layer.ops.rotate_k = [](const Layer& self, const Sequence& sequence, Rows<float> k) {
                 reference::rotate_k(self, sequence, k);
                 if (sequence.cached > 0)
                   for (float& v : k.all()) v = through_bf16(v);
               };
             });
           },
       .paths = {Path::decode, Path::chunked}},
      {.name = "branch-in-bf16",
       .row = "I5",
       .what = "One branch, the feed-forward block's output, is rounded to bf16.",
       .shipped_in = "Blaizzy/mlx-vlm#1585",
       .shows_at = at(Tap::mlp),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.mlp = [](const Layer& self, Rows<const float> x) {
                 Grid out = reference::mlp(self, x);
                 for (float& v : out.values) v = through_bf16(v);
                 return out;
               };
             });
           }},
      {.name = "attention-weights-in-bf16",
       .row = "x",
       .what = "The attention's result is rounded to bf16 before o_proj.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_ctx),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.attend = [](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                     const KvCache& kv) {
                 Grid ctx = reference::attend(self, sequence, q, kv);
                 for (float& v : ctx.values) v = through_bf16(v);
                 return ctx;
               };
             });
           }},
      cache_format("cache-in-q8_0", "The cache is kept in Q8_0.", 127),
      cache_format("cache-in-q4_0", "The cache is kept in 4 bits.", 7),
      {.name = "none",
       .row = "-",
       .what = "No fault at all. Must NOT be flagged.",
       .shipped_in = "",
       .shows_at = nowhere,
       .inject = [](Parts&) { return true; },
       .control = true},
      {.name = "sums-in-fp32",
       .row = "I6",
       .what =
           "Dot products are summed in fp32, in order: rounding that any correct engine may have. Must NOT be flagged.",
       .shipped_in = "unslothai/unsloth#9708",
       .shows_at = nowhere,
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.linear = [](Rows<const float> x, const reference::Weight& w, std::span<const float> bias,
                                     Rows<float> y) {
                 std::vector<float> row(std::size_t(w.cols));
                 for (int out = 0; out < w.rows; ++out) {
                   w.row(out, row);
                   for (int r = 0; r < x.rows; ++r) {
                     float sum = 0;
                     for (std::size_t i = 0; i < row.size(); ++i) sum += x.row(r)[i] * row[i];
                     y.row(r)[std::size_t(out)] = bias.empty() ? sum : sum + bias[std::size_t(out)];
                   }
                 }
               };
             });
           },
       .control = true},
  };
}

}  // namespace assay
