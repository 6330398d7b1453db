// Faults of a conformer block outside its attention: feed-forward, convolution, norms, clamps.
#include <limits>
#include <memory>

#include "harness/faults/bend_towers.h"
#include "reference/ops/convolution.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault layer(std::string_view name, std::string_view what, Tap shows, std::function<void(AudioLayer&)> edit,
            bool (*which)(const AudioLayerPlan&) = nullptr) {
  return {.name = name,
          .row = "x",
          .what = what,
          .shipped_in = "",
          .shows_at = tower(shows),
          .inject = [edit, which](Parts& oracle) {
            if (!oracle.audio || oracle.audio->layers.empty()) return false;
            if (which != nullptr && !which(oracle.audio->layers[0].plan)) return false;
            return audio_layers(oracle, edit);
          }};
}

bool clipped(const AudioLayerPlan& plan) { return plan.clipped; }

Fault clips(std::string_view name, std::string_view what, Grid (*linear)(Rows<const float>, const ClippedWeight&)) {
  Fault fault = layer(
      name, what, Tap::audio_ffn1, [linear](AudioLayer& l) { l.ops.linear = linear; }, clipped);
  fault.row = "D5";
  fault.shipped_in = "class of D5";
  return fault;
}

Fault norm_missing(std::string_view name, std::string_view what, Tap shows,
                   const std::vector<float>& (*which)(const reference::AudioLayerWeights&)) {
  return layer(name, what, shows, [which](AudioLayer& l) { l.ops.rms_norm = norm_but_of(which(l.weights)); });
}

/// A block clamps eight times; one of them is left out.
Fault clamp_missing(std::string_view name, std::string_view what, Tap shows, int which) {
  return layer(
      name, what, shows,
      [which](AudioLayer& l) {
        l.ops.clamp = [which, calls = std::make_shared<int>(0)](std::span<float> x, reference::Bounds bounds) {
          if ((*calls)++ % 8 != which) reference::clamp(x, bounds);
        };
      },
      [](const AudioLayerPlan& plan) { return plan.clamp < 1e6F; });
}

/// Half of the kernel looks ahead.
Grid convolve_centred(Rows<const float> x, const Weight& kernel) {
  const int ahead = kernel.cols / 2;
  Grid longer(x.rows + ahead, x.cols);
  std::ranges::copy(x.all(), longer.values.begin());
  const Grid y = reference::convolve_causal(longer.view(), kernel);
  return Grid(y.view().slice(ahead, x.rows));
}

}  // namespace

std::vector<Fault> audio_layer_faults() {
  Fault control = layer("audio-sums-in-fp32",
                        "The conformer sums in fp32, in order: rounding that any correct engine may have. Must NOT be "
                        "flagged.",
                        Tap::audio_ffn1, [](AudioLayer& l) { l.ops.linear = clipped_in_fp32; });
  control.row = "I6";
  control.shipped_in = "class of I6";
  control.shows_at = nowhere;
  control.control = true;
  return {
      clips("audio-clips-ignored", "The conformer's linears clamp nothing.", unclipped),
      clips("audio-clips-of-inputs-only", "The conformer's linears clamp what goes in, and not what comes out.",
            clipped_before),
      clips("audio-clips-of-outputs-only", "The conformer's linears clamp what comes out, and not what goes in.",
            clipped_behind),
      clips("audio-clips-crosswise", "Bounds of inputs and outputs of the conformer's linears are swapped.",
            clipped_crosswise),
      layer(
          "audio-clamp-missing", "Nothing clamps what enters norms (gradient_clipping).", Tap::audio_ffn1,
          [](AudioLayer& l) { l.plan.clamp = std::numeric_limits<float>::infinity(); },
          [](const AudioLayerPlan& plan) { return plan.clamp < 1e6F; }),
      clamp_missing("audio-clamp-before-ffn-missing", "What enters the first half is not clamped.", Tap::audio_ffn1, 0),
      clamp_missing("audio-clamp-behind-ffn-missing", "What leaves the first half's linears is not clamped.",
                    Tap::audio_ffn1, 1),
      clamp_missing("audio-clamp-before-attention-missing", "What enters the attention is not clamped.",
                    Tap::audio_attn, 2),
      clamp_missing("audio-clamp-behind-attention-missing", "What leaves the attention is not clamped.",
                    Tap::audio_attn, 3),
      clamp_missing("audio-clamp-in-convolution-missing", "What leaves the depthwise convolution is not clamped.",
                    Tap::audio_conv, 4),
      clamp_missing("audio-clamp-before-second-ffn-missing", "What enters the second half is not clamped.",
                    Tap::audio_ffn2, 5),
      clamp_missing("audio-clamp-before-norm-out-missing", "What enters a block's last norm is not clamped.",
                    Tap::audio_out, 7),
      layer("audio-residual-whole", "The feed-forward halves are added whole, without residual_weight.",
            Tap::audio_ffn1, [](AudioLayer& l) { l.plan.residual_weight = 1; }),
      layer(
          "audio-residual-half", "residual_weight is 0.5, whatever the config says.", Tap::audio_ffn1,
          [](AudioLayer& l) { l.plan.residual_weight = 0.5F; },
          [](const AudioLayerPlan& plan) { return plan.residual_weight != 0.5F; }),
      layer("audio-norm-one-plus-weight", "The conformer's norms multiply by 1 + w.", Tap::audio_ffn1,
            [](AudioLayer& l) { l.ops.rms_norm = norm_one_plus_weight; }),
      layer("audio-norm-is-layer-norm", "The conformer subtracts the mean before it norms, as Conformer does.",
            Tap::audio_ffn1, [](AudioLayer& l) { l.ops.rms_norm = norm_centred; }),
      layer(
          "audio-epsilon-of-config", "All norms of a block take the config's epsilon.", Tap::audio_ffn1,
          [](AudioLayer& l) { l.plan.eps = l.plan.conv_eps; },
          [](const AudioLayerPlan& plan) { return plan.eps != plan.conv_eps; }),
      layer(
          "audio-epsilon-of-class", "All norms of a block take their class's epsilon.", Tap::audio_conv,
          [](AudioLayer& l) { l.plan.conv_eps = l.plan.eps; },
          [](const AudioLayerPlan& plan) { return plan.eps != plan.conv_eps; }),
      norm_missing("audio-ffn-norm-missing", "A feed-forward half reads its input unnormed.", Tap::audio_ffn1,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& {
                     return w.feed_forward1.pre_layer_norm;
                   }),
      norm_missing("audio-post-ffn-norm-missing", "A feed-forward half's output is not normed.", Tap::audio_ffn1,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& {
                     return w.feed_forward1.post_layer_norm;
                   }),
      norm_missing("audio-attn-norm-missing", "The conformer's attention reads its input unnormed.", Tap::audio_attn,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& { return w.norm_pre_attn; }),
      norm_missing("audio-post-attn-norm-missing", "The conformer's attention is not normed before it is added.",
                   Tap::audio_attn,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& { return w.norm_post_attn; }),
      norm_missing(
          "audio-convolution-pre-norm-missing", "The light convolution reads its input unnormed.", Tap::audio_conv,
          [](const reference::AudioLayerWeights& w) -> const std::vector<float>& { return w.conv_pre_layer_norm; }),
      norm_missing("audio-conv-norm-missing", "There is no norm behind the depthwise convolution.", Tap::audio_conv,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& { return w.conv_norm; }),
      norm_missing("audio-norm-out-missing", "A block's output is not normed.", Tap::audio_out,
                   [](const reference::AudioLayerWeights& w) -> const std::vector<float>& { return w.norm_out; }),
      layer("audio-gelu-for-silu", "GELU stands in for the conformer's SiLU.", Tap::audio_ffn1,
            [](AudioLayer& l) { l.ops.activate = elementwise(gelu_tanh); }),
      layer("audio-convolution-gelu", "GELU stands in for SiLU in the convolution alone.", Tap::audio_conv,
            [](AudioLayer& l) {
              l.ops.convolution = [](const AudioLayer& self, const Frames& frames, Rows<const float> in) {
                AudioLayer bent = self;
                bent.ops.activate = elementwise(gelu_tanh);
                return reference::audio::convolution(bent, frames, in);
              };
            }),
      layer("audio-relu-for-silu", "ReLU stands in for the conformer's SiLU.", Tap::audio_ffn1,
            [](AudioLayer& l) { l.ops.activate = elementwise([](double x) { return std::max(x, 0.0); }); }),
      layer("audio-second-half-is-first", "The second feed-forward half uses the first one's weights.", Tap::audio_ffn2,
            [](AudioLayer& l) { l.weights.feed_forward2 = l.weights.feed_forward1; }),
      layer("audio-convolution-before-attention", "The convolution comes before the attention.", Tap::audio_attn,
            [](AudioLayer& l) { std::swap(l.ops.attention, l.ops.convolution); }),
      layer("audio-glu-halves-swapped", "The gated linear unit gates its second half by its first.", Tap::audio_conv,
            [](AudioLayer& l) {
              Weight& w = l.weights.linear_start.weight;
              w = moved(w, [rows = std::size_t(w.rows), cols = std::size_t(w.cols)](std::size_t r, std::size_t c) {
                return (r + rows / 2) % rows * cols + c;
              });
            }),
      layer("audio-convolution-centred", "The depthwise convolution looks ahead by half of its kernel.",
            Tap::audio_conv, [](AudioLayer& l) { l.ops.convolve = convolve_centred; }),
      layer("audio-kernel-reversed", "The depthwise kernel is applied from the newest frame to the oldest.",
            Tap::audio_conv,
            [](AudioLayer& l) {
              Weight& w = l.weights.depthwise_conv1d;
              w = moved(w,
                        [cols = std::size_t(w.cols)](std::size_t r, std::size_t c) { return r * cols + cols - 1 - c; });
            }),
      layer("audio-convolution-runs-on", "The convolution runs on from one clip into the next.", Tap::audio_conv,
            [](AudioLayer& l) {
              l.ops.convolution = [](const AudioLayer& self, const Frames& frames, Rows<const float> in) {
                return reference::audio::convolution(self, {1, frames.rows(), frames.real}, in);
              };
            }),
      control,
  };
}

}  // namespace assay
