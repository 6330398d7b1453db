// Faults of norms, the feed-forward block and the layer's tail: rows A10 to A13.
#include "harness/faults/bend.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

bool owns_wide_ffn(const Plan& plan, const LayerPlan& layer) { return layer.ffn_width > plan.layers[0].ffn_width; }

/// A fault of the layer's last step.
Fault tail(std::string_view name, std::string_view what, Which which,
           std::function<Grid(const Layer&, Rows<const float> post_ffn, Rows<const float> ple_out)> replacement) {
  return {.name = name,
          .row = "A11",
          .what = what,
          .shipped_in = "cloudrift-ai/emmy#371",
          .shows_at = at(Tap::out, which),
          .inject = [which, replacement](Parts& oracle) {
            return each(oracle, which, [&](Layer& layer) { layer.ops.tail = replacement; });
          }};
}

/// A fault that gives one norm's weight another value.
Fault weight(std::string_view name, std::string_view what, Tap shows, Which which, std::function<void(Layer&)> edit) {
  return {.name = name,
          .row = "x",
          .what = what,
          .shipped_in = "",
          .shows_at = at(shows, which),
          .inject = [which, edit](Parts& oracle) { return each(oracle, which, edit); }};
}

Fault activation(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                 double (*value)(double)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::mlp),
          .inject = [value](Parts& oracle) {
            return each(oracle, any, [&](Layer& layer) {
              layer.ops.activate = [value](std::span<float> x, Activation) {
                for (float& v : x) v = float(value(v));
              };
            });
          }};
}

/// Where an error of every norm of the decoder is born.
std::optional<TapId> first_norm(const Plan& plan) {
  return plan.ple_width > 0 ? TapId{Tap::ple, -1} : TapId{Tap::attn_norm, 0};
}

}  // namespace

std::vector<Fault> layer_faults() {
  return {
      {.name = "norm-one-plus-weight",
       .row = "A10",
       .what = "RMS norms multiply by 1 + w, as Gemma 1 to 3 did.",
       .shipped_in = "pytorch/executorch#19901 (the mirror error)",
       .shows_at = first_norm,
       .inject =
           [](Parts& oracle) {
             const auto bent = [](Rows<float> x, std::span<const float> weight, float eps) {
               std::vector<float> more(weight.begin(), weight.end());
               for (float& w : more) w += 1;
               reference::rms_norm(x, more, eps);
             };
             oracle.ops.rms_norm = bent;
             return each(oracle, any, [&](Layer& layer) { layer.ops.rms_norm = bent; });
           }},
      {.name = "norm-is-layer-norm",
       .row = "x",
       .what = "Layers subtract the mean before they norm.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_norm),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.rms_norm = [](Rows<float> x, std::span<const float> weight, float eps) {
                 for (int r = 0; r < x.rows; ++r) {
                   double mean = 0;
                   for (const float v : x.row(r)) mean += v;
                   for (float& v : x.row(r)) v -= float(mean / x.cols);
                 }
                 reference::rms_norm(x, weight, eps);
               };
             });
           }},
      {.name = "norm-epsilon-outside-root",
       .row = "x",
       .what = "Epsilon is added to the root instead of the mean square.",
       .shipped_in = "",
       .shows_at = first_norm,
       .inject =
           [](Parts& oracle) {
             const auto bent = [](Rows<float> x, std::span<const float> weight, float eps) {
               for (int r = 0; r < x.rows; ++r) {
                 double squares = 0;
                 for (const float v : x.row(r)) squares += double{v} * v;
                 const float root = float(std::sqrt(squares / x.cols)) + eps;
                 for (std::size_t c = 0; c < x.row(r).size(); ++c)
                   x.row(r)[c] *= (weight.empty() ? 1.0F : weight[c]) / root;
               }
             };
             oracle.ops.rms_norm = bent;
             return each(oracle, any, [&](Layer& layer) { layer.ops.rms_norm = bent; });
           }},
      {.name = "norm-epsilon-default",
       .row = "x",
       .what = "Epsilon is taken as 1e-6, whatever the config says.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_norm),
       .inject =
           [](Parts& oracle) {
             if (oracle.plan.eps == 1e-6F) return false;
             return each(oracle, any, [](Layer& layer) { layer.eps = 1e-6F; });
           }},
      tail("layer-scalar-dropped", "The layer's output is not multiplied by layer_scalar.", any,
           [](const Layer&, Rows<const float> x, Rows<const float> ple) {
             return ple.empty() ? Grid(x) : reference::sum(x, ple);
           }),
      tail("layer-scalar-before-ple", "layer_scalar is applied before the per-layer embedding is added.", has_ple,
           [](const Layer& self, Rows<const float> x, Rows<const float> ple) {
             Grid scaled(x);
             scale(scaled.view(), self.weights.layer_scalar);
             return reference::sum(scaled.view(), ple);
           }),
      tail("layer-scalar-on-branch", "layer_scalar is applied to the per-layer embedding's branch only.", has_ple,
           [](const Layer& self, Rows<const float> x, Rows<const float> ple) {
             Grid scaled(ple);
             scale(scaled.view(), self.weights.layer_scalar);
             return reference::sum(x, scaled.view());
           }),
      {.name = "double-wide-missing",
       .row = "A12",
       .what = "KV-shared layers use half of their double-wide feed-forward block.",
       .shipped_in = "huggingface/candle#3448, NVIDIA-NeMo/Megatron-Bridge#4683",
       .shows_at = [](const Plan& plan) -> std::optional<TapId> {
         for (std::size_t i = 0; i < plan.layers.size(); ++i)
           if (owns_wide_ffn(plan, plan.layers[i])) return TapId{Tap::mlp, int(i)};
         return std::nullopt;
       },
       .inject =
           [](Parts& oracle) {
             bool found = false;
             for (Layer& layer : oracle.layers) {
               if (!owns_wide_ffn(oracle.plan, layer.plan)) continue;
               found = true;
               const int half = layer.plan.ffn_width / 2;
               layer.weights.gate_proj.rows = layer.weights.up_proj.rows = half;
               std::vector<float> down;
               for (int r = 0; r < layer.hidden; ++r) {
                 std::vector<float> row(std::size_t(layer.plan.ffn_width));
                 layer.weights.down_proj.row(r, row);
                 down.insert(down.end(), row.begin(), row.begin() + half);
               }
               layer.weights.down_proj = reference::Weight::own(layer.hidden, half, std::move(down));
             }
             return found;
           }},
      activation("gelu-erf", "A13", "GELU is computed with erf instead of its tanh approximation.",
                 "tenstorrent/tt-metal#46247", [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }),
      activation("gelu-sigmoid", "A13", "GELU is approximated by x * sigmoid(1.702 x).", "class of A13",
                 [](double x) { return x / (1 + std::exp(-1.702 * x)); }),
      activation("silu-for-gelu", "A13", "SiLU stands in for GELU.", "class of A13",
                 [](double x) { return x / (1 + std::exp(-x)); }),
      {.name = "gate-and-up-swapped",
       .row = "x",
       .what = "The activation is applied to up_proj instead of gate_proj.",
       .shipped_in = "",
       .shows_at = at(Tap::mlp),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) { std::swap(layer.weights.gate_proj, layer.weights.up_proj); });
           }},
      {.name = "ffn-norm-missing",
       .row = "x",
       .what = "The feed-forward block reads the residual without pre_feedforward_layernorm.",
       .shipped_in = "",
       .shows_at = at(Tap::ffn_norm),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.ffn_norm = [](const Layer&, Rows<const float> x) { return Grid(x); };
             });
           }},
      weight("ffn-norm-is-post-attention-norm",
             "pre_feedforward_layernorm is given post_attention_layernorm's weight: Llama's naming.", Tap::ffn_norm,
             any,
             [](Layer& layer) { layer.weights.pre_feedforward_layernorm = layer.weights.post_attention_layernorm; }),
      weight("post-ffn-norm-unweighted", "post_feedforward_layernorm's weight is ignored.", Tap::post_ffn, any,
             [](Layer& layer) { layer.weights.post_feedforward_layernorm.assign(std::size_t(layer.hidden), 1.0F); }),
      weight("ple-norm-unweighted", "post_per_layer_input_norm's weight is ignored.", Tap::ple_out, has_ple,
             [](Layer& layer) { layer.weights.post_per_layer_input_norm.assign(std::size_t(layer.hidden), 1.0F); }),
      {.name = "ple-gate-linear",
       .row = "x",
       .what = "The per-layer embedding's gate has no activation.",
       .shipped_in = "",
       .shows_at = at(Tap::ple_out, has_ple),
       .inject =
           [](Parts& oracle) {
             return each(oracle, has_ple, [](Layer& layer) {
               layer.ops.ple_branch = [](const Layer& self, Rows<const float> x, Rows<const float> ple) {
                 Layer plain = self;
                 plain.ops.activate = [](std::span<float>, Activation) {};
                 return reference::ple_branch(plain, x, ple);
               };
             });
           }},
      {.name = "ple-of-next-layer",
       .row = "x",
       .what = "Each layer takes the next layer's slice of the per-layer inputs.",
       .shipped_in = "",
       .shows_at = at(Tap::ple_out, has_ple),
       .inject =
           [](Parts& oracle) {
             const int layers = int(oracle.layers.size());
             return each(oracle, has_ple, [layers](Layer& layer) {
               layer.ops.ple_slice = [layers](const Layer& self, const Sequence& sequence, Rows<const float> ple) {
                 Layer next = self;
                 next.index = (self.index + 1) % layers;
                 return reference::ple_slice(next, sequence, ple);
               };
             });
           }},
      {.name = "ple-before-ffn",
       .row = "x",
       .what = "The per-layer branch reads the residual before the feed-forward block.",
       .shipped_in = "",
       .shows_at = at(Tap::ple_out, has_ple),
       .inject =
           [](Parts& oracle) {
             return each(oracle, has_ple, [](Layer& layer) {
               const auto before = std::make_shared<Grid>();
               layer.ops.ffn_norm = [before](const Layer& self, Rows<const float> x) {
                 *before = Grid(x);
                 return reference::ffn_norm(self, x);
               };
               layer.ops.ple_branch = [before](const Layer& self, Rows<const float>, Rows<const float> ple) {
                 return reference::ple_branch(self, before->view(), ple);
               };
             });
           }},
  };
}

}  // namespace assay
