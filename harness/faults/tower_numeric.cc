// Faults of precision, of epsilons and of constants in the towers: rows I5, D5, D10.
#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault vision_layer(
    std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Tap shows,
    std::function<void(VisionLayer&)> edit, bool (*which)(const VisionPlan&) = [](const VisionPlan&) { return true; }) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(shows),
          .inject = [edit, which](Parts& oracle) {
            return oracle.vision && which(oracle.vision->plan) && vision_layers(oracle, edit);
          }};
}

Fault vision(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Tap shows,
             std::function<void(Vision&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(shows),
          .inject = [edit](Parts& oracle) {
            if (!oracle.vision || !with_encoder(*oracle.vision)) return false;
            edit(*oracle.vision);
            return true;
          }};
}

bool clipped(const VisionPlan& plan) { return !plan.layers.empty() && plan.layers[0].clipped; }
bool other_epsilon(const VisionPlan& plan) { return plan.eps != 1e-6F; }

/// One linear of a layer without its bounds.
Fault unclipped_one(std::string_view name, std::string_view what, Tap shows,
                    ClippedWeight reference::VisionLayerWeights::*linear) {
  return vision_layer(
      name, "D5", what, "class of D5", shows,
      [linear](VisionLayer& l) {
        ClippedWeight& w = l.weights.*linear;
        w.input = w.output = {};
      },
      clipped);
}

void round_all(std::span<float> values) {
  for (float& v : values) v = through_bf16(v);
}

}  // namespace

std::vector<Fault> tower_numeric_faults() {
  using W = reference::VisionLayerWeights;
  return {
      vision_layer(
          "vision-clips-below-only", "D5", "The tower's linears clamp by their minimum alone.", "class of D5",
          Tap::vision_attn_q,
          [](VisionLayer& l) {
            l.ops.linear = [](Rows<const float> x, const ClippedWeight& w) {
              return reference::clipped_linear(x, {w.weight, {.low = w.input.low}, {.low = w.output.low}});
            };
          },
          clipped),
      vision_layer(
          "vision-clips-above-only", "D5", "The tower's linears clamp by their maximum alone.", "class of D5",
          Tap::vision_attn_q,
          [](VisionLayer& l) {
            l.ops.linear = [](Rows<const float> x, const ClippedWeight& w) {
              return reference::clipped_linear(x, {w.weight, {.high = w.input.high}, {.high = w.output.high}});
            };
          },
          clipped),
      vision_layer(
          "vision-clips-symmetric", "D5", "The tower's linears clamp to plus and minus their maximum.", "class of D5",
          Tap::vision_attn_q,
          [](VisionLayer& l) {
            l.ops.linear = [](Rows<const float> x, const ClippedWeight& w) {
              return reference::clipped_linear(
                  x, {w.weight, {-w.input.high, w.input.high}, {-w.output.high, w.output.high}});
            };
          },
          clipped),
      unclipped_one("vision-clips-of-output-missing", "o_proj alone clamps nothing.", Tap::vision_attn_out, &W::o_proj),
      unclipped_one("vision-clips-of-values-missing", "v_proj alone clamps nothing.", Tap::vision_attn_v, &W::v_proj),
      unclipped_one("vision-clips-of-gate-missing", "gate_proj alone clamps nothing.", Tap::vision_mlp, &W::gate_proj),
      unclipped_one("vision-clips-of-down-missing", "down_proj alone clamps nothing.", Tap::vision_mlp, &W::down_proj),
      vision_layer(
          "vision-head-norm-epsilon", "x", "The tower's norms of q and k take 1e-6, the others the config's epsilon.",
          "", Tap::vision_attn_q,
          [](VisionLayer& l) {
            l.ops.rms_norm = [q = l.weights.q_norm, k = l.weights.k_norm](Rows<float> x, std::span<const float> weight,
                                                                          float eps) {
              const bool of_head = std::ranges::equal(weight, q) || std::ranges::equal(weight, k);
              reference::rms_norm(x, weight, of_head ? 1e-6F : eps);
            };
          },
          other_epsilon),
      vision_layer(
          "vision-v-norm-epsilon", "x", "The tower's norm of values takes 1e-6, the others the config's epsilon.", "",
          Tap::vision_attn_v,
          [](VisionLayer& l) {
            l.ops.rms_norm = [](Rows<float> x, std::span<const float> weight, float eps) {
              reference::rms_norm(x, weight, weight.empty() ? 1e-6F : eps);
            };
          },
          other_epsilon),
      vision_layer(
          "vision-norm-epsilon-outside-root", "x", "The tower adds epsilon to the root instead of the mean square.", "",
          Tap::vision_attn_norm,
          [](VisionLayer& l) {
            l.ops.rms_norm = [](Rows<float> x, std::span<const float> weight, float eps) {
              for (int r = 0; r < x.rows; ++r) {
                double squares = 0;
                for (const float v : x.row(r)) squares += double{v} * v;
                const float root = float(std::sqrt(squares / x.cols)) + eps;
                for (std::size_t c = 0; c < x.row(r).size(); ++c)
                  x.row(r)[c] *= (weight.empty() ? 1.0F : weight[c]) / root;
              }
            };
          },
          other_epsilon),
      vision_layer("vision-rope-table-in-bf16", "I3", "The tower's frequencies are rounded to bf16.", "class of I3",
                   Tap::vision_attn_q_rope, [](VisionLayer& l) { round_all(l.plan.rope.inv_freq); }),
      vision_layer("vision-context-in-bf16", "I5", "The tower's attention is rounded to bf16 before o_proj.",
                   "class of I5", Tap::vision_attn_ctx,
                   [](VisionLayer& l) {
                     l.ops.attend = [](const VisionLayer& self, const Patches& patches, Rows<const float> q,
                                       Rows<const float> k, Rows<const float> v) {
                       Grid ctx = reference::vision::attend(self, patches, q, k, v);
                       round_all(ctx.values);
                       return ctx;
                     };
                   }),
      vision("pixels-in-bf16", "I5", "Pixels are rounded to bf16 before they are centred.", "class of I5",
             Tap::vision_patch_embed,
             [](Vision& v) {
               v.ops.patch_embed = [](const Vision& self, const Patches& patches, Rows<const float> pixels) {
                 Grid x(pixels);
                 round_all(x.values);
                 return reference::vision::patch_embed(self, patches, x.view());
               };
             }),
      vision("pool-root-in-bf16", "D10", "sqrt(hidden) of the pooler is rounded to bf16.", "class of D10",
             Tap::vision_pooled,
             [](Vision& v) {
               v.ops.pool = [](const Vision& self, const Patches& patches, Rows<const float> last) {
                 Grid x = reference::vision::pool(self, patches, last);
                 const float root = std::sqrt(float(self.plan.hidden));
                 scale(x.view(), through_bf16(root) / root);
                 return x;
               };
             }),
      vision("pool-root-of-text", "x", "The pooler multiplies by the root of the text's hidden size.", "",
             Tap::vision_pooled,
             [](Vision& v) {
               v.ops.pool = [](const Vision& self, const Patches& patches, Rows<const float> last) {
                 Grid x = reference::vision::pool(self, patches, last);
                 scale(x.view(), std::sqrt(float(self.weights.embedding_projection.rows) / float(self.plan.hidden)));
                 return x;
               };
             }),
      {.name = "audio-features-in-bf16",
       .row = "I5",
       .what = "Features, or raw samples, are rounded to bf16 as they enter the model.",
       .shipped_in = "class of I5",
       .shows_at = tower(Tap::audio_mel),
       .inject =
           [](Parts& oracle) {
             edit_input(oracle, "input_features", [](std::vector<float>& values) { round_all(values); });
             return oracle.audio.has_value();
           }},
  };
}

}  // namespace assay
