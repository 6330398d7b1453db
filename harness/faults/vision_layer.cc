// Faults of the vision tower's norms, feed-forward block and clipped linears: row D5.
#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault clips(std::string_view name, std::string_view what, Tap shows, std::function<void(VisionLayer&)> edit) {
  Fault fault = in_vision_layers(name, "D5", what, "AI-Hypercomputer/maxtext#4790", shows, {});
  fault.inject = [edit](Parts& oracle) {
    if (!oracle.vision || oracle.vision->layers.empty() || !oracle.vision->layers[0].plan.clipped) return false;
    return vision_layers(oracle, edit);
  };
  return fault;
}

Fault activation(std::string_view name, std::string_view what, double (*value)(double)) {
  return in_vision_layers(name, "x", what, "", Tap::vision_mlp,
                          [value](VisionLayer& l) { l.ops.activate = elementwise(value); });
}

}  // namespace

std::vector<Fault> vision_layer_faults() {
  return {
      clips("vision-clips-ignored", "The tower's linears clamp nothing: their bounds are left in the file.",
            Tap::vision_attn_q, [](VisionLayer& l) { l.ops.linear = unclipped; }),
      clips("vision-clips-of-inputs-only", "The tower's linears clamp what goes in, and not what comes out.",
            Tap::vision_attn_q, [](VisionLayer& l) { l.ops.linear = clipped_before; }),
      clips("vision-clips-of-outputs-only", "The tower's linears clamp what comes out, and not what goes in.",
            Tap::vision_attn_q, [](VisionLayer& l) { l.ops.linear = clipped_behind; }),
      clips("vision-clips-crosswise", "Bounds of inputs and outputs are swapped.", Tap::vision_attn_q,
            [](VisionLayer& l) { l.ops.linear = clipped_crosswise; }),
      clips("vision-clips-of-fused-qkv", "One fused product of q, k and v clamps its input by q_proj's bounds.",
            Tap::vision_attn_k,
            [](VisionLayer& l) { l.weights.k_proj.input = l.weights.v_proj.input = l.weights.q_proj.input; }),
      clips("vision-clips-of-fused-gate-up", "A fused gate and up clamps both by gate_proj's bounds.", Tap::vision_mlp,
            [](VisionLayer& l) {
              l.weights.up_proj.input = l.weights.gate_proj.input;
              l.weights.up_proj.output = l.weights.gate_proj.output;
            }),
      in_vision_layers("vision-norm-one-plus-weight", "A10",
                       "The tower's RMS norms multiply by 1 + w, as Gemma 3's did.", "class of A10",
                       Tap::vision_attn_norm, [](VisionLayer& l) { l.ops.rms_norm = norm_one_plus_weight; }),
      in_vision_layers("vision-norm-is-layer-norm", "x",
                       "The tower subtracts the mean before it norms, as SigLIP does.", "", Tap::vision_attn_norm,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_centred; }),
      {.name = "vision-norm-epsilon-default",
       .row = "x",
       .what = "The tower's epsilon is taken as 1e-6, whatever the config says.",
       .shipped_in = "",
       .shows_at = tower(Tap::vision_attn_norm),
       .inject =
           [](Parts& oracle) {
             if (!oracle.vision || oracle.vision->plan.eps == 1e-6F) return false;
             return vision_layers(oracle, [](VisionLayer& l) { l.eps = 1e-6F; });
           }},
      in_vision_layers(
          "vision-attn-norm-missing", "x", "The tower's attention reads the residual unnormed.", "",
          Tap::vision_attn_norm,
          [](VisionLayer& l) { l.ops.attn_norm = [](const VisionLayer&, Rows<const float> x) { return Grid(x); }; }),
      in_vision_layers("vision-post-attn-norm-missing", "x",
                       "The tower has no norm behind its attention: two norms a layer, as SigLIP has.", "",
                       Tap::vision_post_attn,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_but_of(l.weights.post_attention_layernorm); }),
      in_vision_layers("vision-ffn-norm-missing", "x", "The tower's feed-forward block reads the residual unnormed.",
                       "", Tap::vision_ffn_norm,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_but_of(l.weights.pre_feedforward_layernorm); }),
      in_vision_layers(
          "vision-ffn-norm-is-post-attention-norm", "x",
          "The tower's pre_feedforward_layernorm is given post_attention_layernorm's weight: Llama's naming.", "",
          Tap::vision_ffn_norm,
          [](VisionLayer& l) { l.weights.pre_feedforward_layernorm = l.weights.post_attention_layernorm; }),
      in_vision_layers("vision-post-ffn-norm-missing", "x", "The tower has no norm behind its feed-forward block.", "",
                       Tap::vision_out,
                       [](VisionLayer& l) { l.ops.rms_norm = norm_but_of(l.weights.post_feedforward_layernorm); }),
      activation("vision-gelu-erf", "The tower's GELU is computed with erf instead of its tanh approximation.",
                 gelu_erf),
      activation("vision-gelu-quick", "The tower's GELU is CLIP's x * sigmoid(1.702 x).", quick_gelu),
      activation("vision-silu-for-gelu", "SiLU stands in for the tower's GELU.", silu),
      in_vision_layers("vision-mlp-ungated", "x",
                       "The tower's feed-forward block has no gate: down(gelu(up)), as SigLIP's.", "", Tap::vision_mlp,
                       [](VisionLayer& l) {
                         l.ops.mlp = [](const VisionLayer& self, Rows<const float> x) {
                           Grid up = self.ops.linear(x, self.weights.up_proj);
                           self.ops.activate(up.values, self.activation);
                           return self.ops.linear(up.view(), self.weights.down_proj);
                         };
                       }),
      in_vision_layers("vision-gate-and-up-swapped", "x",
                       "The tower's activation is applied to up_proj instead of gate_proj.", "", Tap::vision_mlp,
                       [](VisionLayer& l) { std::swap(l.weights.gate_proj, l.weights.up_proj); }),
      in_vision_layers("vision-branch-in-bf16", "I5",
                       "The tower's feed-forward block is rounded to bf16, the rest is not.", "class of I5",
                       Tap::vision_mlp,
                       [](VisionLayer& l) {
                         l.ops.mlp = [](const VisionLayer& self, Rows<const float> x) {
                           Grid out = reference::vision::mlp(self, x);
                           for (float& v : out.values) v = through_bf16(v);
                           return out;
                         };
                       }),
      {.name = "vision-sums-in-fp32",
       .row = "I6",
       .what = "The tower sums in fp32, in order: rounding that any correct engine may have. Must NOT be flagged.",
       .shipped_in = "class of I6",
       .shows_at = nowhere,
       .inject =
           [](Parts& oracle) { return vision_layers(oracle, [](VisionLayer& l) { l.ops.linear = clipped_in_fp32; }); },
       .control = true},
  };
}

}  // namespace assay
