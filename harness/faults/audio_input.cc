// Faults of the audio tower's two convolutions and of what leaves the tower: rows E9, E12.
#include <memory>

#include "harness/faults/bend_towers.h"
#include "reference/ops/convolution.h"
#include "reference/ops/layer_norm.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault around(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Tap shows,
             std::function<void(Audio&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(shows),
          .inject = [edit](Parts& oracle) {
            if (!oracle.audio || !with_encoder(*oracle.audio)) return false;
            edit(*oracle.audio);
            forgive_missing(oracle);
            return true;
          }};
}

Fault subsample(std::string_view name, std::string_view what, std::function<void(Audio&)> edit) {
  return around(name, "x", what, "", Tap::audio_subsample, std::move(edit));
}

/// One of the convolutions does not see the mask.
std::function<void(Audio&)> unmasked(int which) {
  return [which](Audio& audio) {
    audio.ops.convolve_clips = [which](const Audio& self, int index, Frames& frames, Rows<const float> x) {
      if (index != which) return reference::audio::convolve_clips(self, index, frames, x);
      Frames open = frames;
      std::ranges::fill(open.real, char{1});
      Grid y = reference::audio::convolve_clips(self, index, open, x);
      Grid nothing(frames.rows(), x.cols);
      reference::audio::convolve_clips(self, index, frames, nothing.view());  // for the mask that it leaves
      return y;
    };
  };
}

/// The mask behind a convolution: output frame i is real if `real` says so of the input's.
std::function<void(Audio&)> mask_behind(bool (*real)(const Frames& before, int clip, int i)) {
  return [real](Audio& audio) {
    audio.ops.convolve_clips = [real](const Audio& self, int index, Frames& frames, Rows<const float> x) {
      const Frames before = frames;
      Grid y = reference::audio::convolve_clips(self, index, frames, x);
      for (int clip = 0; clip < frames.clips; ++clip)
        for (int i = 0; i < frames.length; ++i)
          frames.real[std::size_t(clip * frames.length + i)] = real(before, clip, i) ? 1 : 0;
      return y;
    };
  };
}

bool real_at(const Frames& frames, int clip, int frame) { return frame < frames.length && frames.is_real(clip, frame); }

Weight zeros_like(const Weight& w) {
  return Weight::own(w.rows, w.cols, std::vector<float>(std::size_t(w.rows) * std::size_t(w.cols)));
}

/// A row of zeros more before the clip instead of one behind it.
Grid convolve_behind(Rows<const float> x, int channels, const Weight& kernel) {
  Grid later(x.rows + 1, x.cols);
  std::ranges::copy(x.all(), later.values.begin() + x.cols);
  Grid y = reference::convolve_2d(later.view(), channels, kernel);
  y.rows = (x.rows + 1) / 2;
  y.values.resize(std::size_t(y.rows) * std::size_t(y.cols));
  return y;
}

}  // namespace

std::vector<Fault> audio_input_faults() {
  return {
      subsample("audio-first-convolution-unmasked", "Features behind a clip's end enter the first convolution.",
                unmasked(0)),
      subsample("audio-second-convolution-unmasked", "What the first convolution leaves of padding enters the second.",
                unmasked(1)),
      subsample("audio-mask-of-odd-frames", "The mask behind a convolution is mask[1::2].",
                mask_behind([](const Frames& f, int clip, int i) { return real_at(f, clip, 2 * i + 1); })),
      subsample("audio-mask-of-pairs", "A frame behind a convolution is real if both that it stands for are.",
                mask_behind([](const Frames& f, int clip, int i) {
                  return real_at(f, clip, 2 * i) && (2 * i + 1 >= f.length || real_at(f, clip, 2 * i + 1));
                })),
      subsample("audio-convolution-norm-missing", "There is no norm behind the convolutions.",
                [](Audio& audio) {
                  audio.ops.layer_norm = [](Rows<float>, std::span<const float>, std::span<const float>, float) {};
                }),
      subsample("audio-convolution-norm-is-rms", "An RMS norm stands behind the convolutions.",
                [](Audio& audio) {
                  audio.ops.layer_norm = [](Rows<float> x, std::span<const float> weight, std::span<const float>,
                                            float eps) { reference::rms_norm(x, weight, eps); };
                }),
      subsample("audio-convolution-norm-unweighted", "The weights of the norms behind the convolutions are ignored.",
                [](Audio& audio) {
                  for (std::vector<float>& weight : audio.weights.conv_norm) std::ranges::fill(weight, 1.0F);
                }),
      subsample("audio-convolution-norm-epsilon", "The norms behind the convolutions take torch's 1e-5 for epsilon.",
                [](Audio& audio) {
                  audio.ops.layer_norm = [](Rows<float> x, std::span<const float> weight, std::span<const float> bias,
                                            float) { reference::layer_norm(x, weight, bias, 1e-5F); };
                }),
      subsample("audio-convolution-silu", "SiLU stands behind the convolutions instead of ReLU.",
                [](Audio& audio) { audio.ops.activate = elementwise(silu); }),
      subsample("audio-convolution-linear", "Nothing stands behind the convolutions' norms.",
                [](Audio& audio) { audio.ops.activate = [](std::span<float>, Activation) {}; }),
      subsample("audio-convolution-transposed", "The kernels' time and frequency are swapped.",
                [](Audio& audio) {
                  for (Weight& w : audio.weights.conv)
                    w = moved(w, [cols = std::size_t(w.cols)](std::size_t r, std::size_t c) {
                      return r * cols + c - c % 9 + c % 3 * 3 + c % 9 / 3;
                    });
                }),
      subsample("audio-convolution-causal", "The convolutions see two frames back and none ahead.",
                [](Audio& audio) { audio.ops.convolve = convolve_behind; }),
      subsample("audio-channels-before-frequencies", "Rows are flattened channel by channel.",
                [](Audio& audio) {
                  Weight& w = audio.weights.input_proj_linear;
                  const auto channels = std::size_t(audio.plan.channels[1]), bins = std::size_t(w.cols) / channels;
                  w = moved(w, [=, cols = std::size_t(w.cols)](std::size_t r, std::size_t c) {
                    return r * cols + c % channels * bins + c / channels;
                  });
                }),
      around("audio-weights-in-8-bit", "E12", "The tower's weights are kept in 8 bits.", "ggml-org/llama.cpp#21421",
             Tap::audio_ffn1,
             [](Audio& audio) {
               for (AudioLayer& layer : audio.layers) {
                 reference::AudioLayerWeights& w = layer.weights;
                 for (ClippedWeight* linear : {&w.feed_forward1.ffw_layer_1, &w.feed_forward1.ffw_layer_2,
                                               &w.feed_forward2.ffw_layer_1, &w.feed_forward2.ffw_layer_2, &w.q_proj,
                                               &w.k_proj, &w.v_proj, &w.post, &w.linear_start, &w.linear_end}) {
                   std::vector<float> values = linear->weight.floats();
                   through_blocks(values, 127);
                   linear->weight = Weight::own(linear->weight.rows, linear->weight.cols, std::move(values));
                 }
               }
             }),
      around("audio-tensor-shadowed-by-zeros", "E9", "A tensor is made twice, and the zeros are used.",
             "ggml-org/llama.cpp#21348", Tap::audio_conv,
             [](Audio& audio) {
               for (AudioLayer& layer : audio.layers)
                 layer.weights.depthwise_conv1d = zeros_like(layer.weights.depthwise_conv1d);
             }),
      around("audio-output-bias-missing", "x", "output_proj has no bias.", "", Tap::audio_encoded,
             [](Audio& audio) { std::ranges::fill(audio.weights.output_bias, 0.0F); }),
      around("audio-layer-before-last", "x", "The output of the layer before the last leaves the tower.", "",
             Tap::audio_encoded,
             [](Audio& audio) {
               const auto before = std::make_shared<Grid>();
               AudioLayer& last = audio.layers.back();
               last.ops.feed_forward = [before, calls = std::make_shared<int>(0)](
                                           const AudioLayer& self, const reference::FeedForwardWeights& w,
                                           Rows<const float> in) {
                 if ((*calls)++ % 2 == 0) *before = Grid(in);  // the first of a layer's two
                 return reference::audio::feed_forward(self, w, in);
               };
               audio.ops.output = [before](const Audio& self, Rows<const float>) {
                 return reference::audio::output(self, before->view());
               };
             }),
  };
}

}  // namespace assay
