#include "engine/cpu/audio.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>

#include "engine/cpu/kernel_table.h"

namespace assay::cpu {
namespace {

/// Linear above 20, as torch has it.
float softplus(float x) { return x > 20 ? x : float(std::log1p(std::exp(double{x}))); }

/// [rows, cols] turned round to [cols, rows].
std::vector<float> transposed(const std::vector<float>& values, std::size_t rows) {
  std::vector<float> out(values.size());
  const std::size_t cols = rows == 0 ? 0 : values.size() / rows;
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) out[c * rows + r] = values[r * cols + c];
  return out;
}

/// The projected sines and cosines of every distance: the same for all clips.
/// Source: Gemma4AudioRelPositionalEncoding, Gemma4AudioAttention (transformers 5.22.2).
std::vector<float> relative_keys(const Matrix& projection, const AudioLayerPlan& plan, int hidden) {
  const int farthest = plan.context() / 2, half = hidden / 2;
  const float step = float(-std::log(10000.0) / std::max(half - 1, 1));
  std::vector<float> sines(std::size_t(farthest + 1) * std::size_t(hidden), 0);
  for (int r = 0; r <= farthest; ++r)
    for (int i = 0; i < half; ++i) {
      const float angle = float(farthest - r) * std::exp(float(i) * step);
      float* const row = sines.data() + std::ptrdiff_t(r) * hidden;
      row[i] = float(std::sin(double{angle}));
      row[half + i] = float(std::cos(double{angle}));
    }
  std::vector<float> keys(std::size_t(farthest + 1) * std::size_t(projection.w.rows));
  if (projection.empty()) return keys;
  const Product product{&projection, keys.data(), projection.w.rows};
  multiply(Team{}, "relative keys", {}, sines.data(), farthest + 1, hidden, {&product, 1});
  return keys;
}

AudioLayerWeights load_layer(Loader& loader, const AudioLayerPlan& plan, int hidden, std::size_t index) {
  const std::string at = "model.audio_tower.layers." + std::to_string(index) + ".", attn = at + "self_attn.";
  const auto feed_forward = [&](const std::string& part) {
    FeedForwardWeights w;
    w.pre_layer_norm = loader.vector(at + part + ".pre_layer_norm.weight");
    w.post_layer_norm = loader.vector(at + part + ".post_layer_norm.weight");
    for (float& weight : w.post_layer_norm) weight *= plan.residual_weight;
    w.ffw_layer_1 = loader.clipped(at + part + ".ffw_layer_1", plan.ffn_width, hidden, plan.clipped);
    w.ffw_layer_2 = loader.clipped(at + part + ".ffw_layer_2", hidden, plan.ffn_width, plan.clipped);
    return w;
  };
  AudioLayerWeights w;
  w.feed_forward1 = feed_forward("feed_forward1");
  w.feed_forward2 = feed_forward("feed_forward2");
  w.norm_pre_attn = loader.vector(at + "norm_pre_attn.weight");
  w.norm_post_attn = loader.vector(at + "norm_post_attn.weight");
  w.norm_out = loader.vector(at + "norm_out.weight");
  w.q_proj = loader.clipped(attn + "q_proj", hidden, hidden, plan.clipped);
  w.k_proj = loader.clipped(attn + "k_proj", hidden, hidden, plan.clipped);
  w.v_proj = loader.clipped(attn + "v_proj", hidden, hidden, plan.clipped);
  w.post = loader.clipped(attn + "post", hidden, hidden, plan.clipped);
  const float of_q = float(std::pow(double(plan.head_dim), -0.5) / std::numbers::ln2);
  for (const float p : loader.vector(attn + "per_dim_scale")) w.q_scale.push_back(of_q * softplus(p));
  w.k_scale.assign(std::size_t(plan.head_dim), float(std::log(1 + std::numbers::e) / std::numbers::ln2));
  w.conv_pre_layer_norm = loader.vector(at + "lconv1d.pre_layer_norm.weight");
  w.conv_norm = loader.vector(at + "lconv1d.conv_norm.weight");
  w.linear_start = loader.clipped(at + "lconv1d.linear_start", 2 * hidden, hidden, plan.clipped);
  w.linear_end = loader.clipped(at + "lconv1d.linear_end", hidden, hidden, plan.clipped);
  w.depthwise_conv1d = transposed(loader.vector(at + "lconv1d.depthwise_conv1d.weight"), std::size_t(hidden));
  return w;
}

std::vector<std::uint8_t> halved(std::span<const std::uint8_t> real) {
  std::vector<std::uint8_t> half;
  for (std::size_t i = 0; i < real.size(); i += 2) half.push_back(real[i]);
  return half;
}

}  // namespace

/// A clip's rows.
struct Audio::Buffers {
  float *first, *second;  ///< what the convolutions leave: [half, bins / 2, channels], [rows, bins / 4, channels]
  float *x, *normed, *wide, *q, *k, *v, *out;  ///< [rows, hidden]; wide: [rows, the widest]
  float *encoded, *real;                       ///< [rows, output]
  Operands operands;

  static Buffers carve(Carver& carver, const AudioPlan& plan, int features, std::size_t half, std::size_t rows,
                       const Widths& widths, const OperandKernels& kernels) {
    Buffers b{};
    const auto hidden = std::size_t(plan.hidden), output = std::size_t(plan.output);
    std::size_t wide = 2 * hidden;
    bool clipped = false;
    for (const AudioLayerPlan& layer : plan.layers) {
      wide = std::max(wide, std::size_t(layer.ffn_width));
      clipped = clipped || layer.clipped;
    }
    const std::size_t bins = (std::size_t(features) + 1) / 2;
    const std::size_t second = (bins + 1) / 2 * std::size_t(plan.channels[1]);
    b.first = carver.take<float>(half * bins * std::size_t(plan.channels[0]));
    b.second = carver.take<float>(rows * second);
    for (float** each : {&b.x, &b.normed, &b.q, &b.k, &b.v, &b.out}) *each = carver.take<float>(rows * hidden);
    b.wide = carver.take<float>(rows * wide);
    for (float** each : {&b.encoded, &b.real}) *each = carver.take<float>(rows * output);
    b.operands = Operands::carve(carver, rows, widths, clipped, kernels);
    return b;
  }
};

Result<Audio> Audio::open(Loader& loader, const Plan& plan, const Options& options) {
  Audio audio;
  audio.plan_ = *plan.audio;
  audio.text_hidden_ = plan.hidden;
  audio.options_ = options;
  ASSAY_TRY(kernels, TowerKernels::make());
  audio.kernels_ = kernels;
  audio.operand_kernels_ = OperandKernels::best();
  AudioWeights& w = audio.weights_;
  const AudioPlan& from = *plan.audio;
  w.embedding_projection = loader.matrix("model.embed_audio.embedding_projection.weight", plan.hidden, from.output);
  audio.work_ = std::int64_t{from.output} * plan.hidden;
  audio.widths_ = loader.widths();
  if (from.encoder_free) return audio;
  audio.work_ = std::int64_t{from.hidden} * from.hidden;
  const std::string at = "model.audio_tower.";
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string layer = at + "subsample_conv_projection.layer" + std::to_string(i) + ".";
    w.conv[i] = transposed(loader.vector(layer + "conv.weight"), std::size_t(from.channels[i]));  // [c, 3, 3, out]
    const std::size_t before = i == 0 ? 1 : std::size_t(from.channels[0]), out = std::size_t(from.channels[i]);
    std::vector<float> turned(w.conv[i].size());
    for (std::size_t c = 0; c < before; ++c)
      for (std::size_t place = 0; place < 9 && !turned.empty(); ++place)
        std::copy_n(w.conv[i].begin() + std::ptrdiff_t((c * 9 + place) * out), out,
                    turned.begin() + std::ptrdiff_t((place * before + c) * out));
    w.conv[i] = std::move(turned);
    w.conv_norm[i] = loader.vector(layer + "norm.weight");
  }
  w.input_proj_linear = loader.matrix(at + "subsample_conv_projection.input_proj_linear.weight", from.hidden,
                                      from.frequencies * from.channels[1]);
  w.output_proj = loader.matrix(at + "output_proj.weight", from.output, from.hidden);
  w.output_proj.bias = loader.vector(at + "output_proj.bias");
  for (std::size_t i = 0; i < from.layers.size(); ++i) {
    w.layers.push_back(load_layer(loader, from.layers[i], from.hidden, i));
    w.layers.back().relative_keys =
        relative_keys(loader.exact(at + "layers." + std::to_string(i) + ".self_attn.relative_k_proj.weight",
                                   from.hidden, from.hidden),
                      from.layers[i], from.hidden);
  }
  audio.widths_ = loader.widths();
  return audio;
}

void Audio::linear(const Team& team, std::string_view op, const Buffers& b, const float* x, int rows, const Matrix& w,
                   float* y) const {
  const Product product{&w, y, w.w.rows};
  multiply(team, op, b.operands, x, rows, w.w.cols, {&product, 1});
}

/// Source: Gemma4AudioSubSampleConvProjection.forward.
void Audio::subsample(const Team& team, const AudioClip& clip, const std::vector<std::uint8_t>& half,
                      const Buffers& b) const {
  const auto convolve = [&](std::size_t i, const float* x, std::span<const std::uint8_t> real, int bins, int channels,
                            float* y) {
    const kernels::Conv2d conv{x,    real.data(), weights_.conv[i].data(), y, int(real.size()),
                               bins, channels,    plan_.channels[i]};
    const int cols = plan_.channels[i], of_frame = (bins + 1) / 2;
    share(team, (int(real.size()) + 1) / 2, [&](int first, int last) {
      kernels_.conv2d(conv, first, last);
      kernels_.layer_norm(y, weights_.conv_norm[i].data(), nullptr, plan_.eps, cols, y, first * of_frame,
                          last * of_frame);
      kernels_.activate(y, kernels::Activation::relu, cols, y, first * of_frame, last * of_frame);
    });
    team.sync();
    const int frames = (int(real.size()) + 1) / 2;
    team.lap("audio.conv", {.bytes = 0, .flops = 2.0 * frames * of_frame * cols * 9 * channels});
  };
  convolve(0, clip.features, clip.real, clip.features_of_frame, 1, b.first);
  convolve(1, b.first, half, (clip.features_of_frame + 1) / 2, plan_.channels[0], b.second);
  linear(team, "audio.in", b, b.second, int(half.size() + 1) / 2, weights_.input_proj_linear, b.x);
}

/// x + weight * post_norm(clamp(W2 act(W1 pre_norm(clamp x)))), in place. Source: Gemma4AudioFeedForward.forward.
void Audio::feed_forward(const Team& team, const Buffers& b, int rows, const AudioLayerPlan& plan,
                         const FeedForwardWeights& w) const {
  const int hidden = plan_.hidden;
  share(team, rows, [&](int first, int last) {
    kernels_.clamp(b.x, -plan.clamp, plan.clamp, hidden, b.normed, first, last);
    kernels_.rms_norm(b.normed, w.pre_layer_norm.data(), plan.eps, hidden, b.normed, first, last);
  });
  team.sync();
  team.lap("norm");
  linear(team, "mlp.up", b, b.normed, rows, w.ffw_layer_1, b.wide);
  share(team, rows, [&](int first, int last) {
    kernels_.activate(b.wide, kernel_activation(plan.activation), plan.ffn_width, b.wide, first, last);
  });
  team.sync();
  team.lap("activation");
  linear(team, "mlp.down", b, b.wide, rows, w.ffw_layer_2, b.out);
  share(team, rows, [&](int first, int last) {
    kernels_.clamp(b.out, -plan.clamp, plan.clamp, hidden, b.out, first, last);
    kernels_.norm_add(b.out, w.post_layer_norm.data(), plan.eps, b.x, 1, hidden, b.x, first, last);
  });
  team.sync();
}

/// Source: Gemma4AudioLayer.forward.
void Audio::run_layer(const Team& team, const AudioClip& clip, const std::vector<std::uint8_t>& real, AudioTaps& taps,
                      const Buffers& b, std::size_t index) const {
  const AudioLayerPlan& plan = plan_.layers[index];
  const AudioLayerWeights& w = weights_.layers[index];
  const int rows = int(real.size()), hidden = plan_.hidden, width = plan.heads * plan.head_dim;
  const auto tap = [&](Tap id) {
    if (taps.encoded.wants(id, int(index)))
      team.one([&] { taps.encoded.take({id, int(index)}, clip.first_encoded, {b.x, rows, hidden}); });
  };
  feed_forward(team, b, rows, plan, w.feed_forward1);
  tap(Tap::audio_ffn1);

  share(team, rows, [&](int first, int last) {
    kernels_.clamp(b.x, -plan.clamp, plan.clamp, hidden, b.normed, first, last);
    kernels_.rms_norm(b.normed, w.norm_pre_attn.data(), plan.eps, hidden, b.normed, first, last);
  });
  team.sync();
  team.lap("norm");
  const Product qkv[] = {{&w.q_proj, b.q, width}, {&w.k_proj, b.k, width}, {&w.v_proj, b.v, width}};
  multiply(team, "attn.qkv", b.operands, b.normed, rows, hidden, qkv);
  share(team, rows * plan.heads, [&](int first, int last) {
    kernels_.standardize(b.q, nullptr, w.q_scale.data(), plan.head_dim, b.q, first, last);
    kernels_.standardize(b.k, nullptr, w.k_scale.data(), plan.head_dim, b.k, first, last);
  });
  team.sync();
  team.lap("scale");
  const kernels::RelAttention attention{.q = b.q,
                                        .k = b.k,
                                        .v = b.v,
                                        .relative = w.relative_keys.data(),
                                        .real = real.data(),
                                        .y = b.normed,
                                        .frames = rows,
                                        .heads = plan.heads,
                                        .head_dim = plan.head_dim,
                                        .positions = plan.context() / 2 + 1,
                                        .chunk = plan.chunk,
                                        .past = plan.past,
                                        .future = plan.future,
                                        .cap = plan.logit_cap,
                                        .invalid = plan.invalid_logit};
  share(team, rows, [&](int first, int last) { kernels_.rel_attention(attention, first, last); });
  team.sync();
  team.lap("attention");
  linear(team, "attn.out", b, b.normed, rows, w.post, b.out);
  share(team, rows, [&](int first, int last) {
    kernels_.clamp(b.out, -plan.clamp, plan.clamp, hidden, b.out, first, last);
    kernels_.norm_add(b.out, w.norm_post_attn.data(), plan.eps, b.x, 1, hidden, b.x, first, last);
  });
  team.sync();
  tap(Tap::audio_attn);

  share(team, rows, [&](int first, int last) {
    kernels_.rms_norm(b.x, w.conv_pre_layer_norm.data(), plan.conv_eps, hidden, b.normed, first, last);
  });
  team.sync();
  team.lap("norm");
  linear(team, "conv.start", b, b.normed, rows, w.linear_start, b.wide);
  share(team, rows, [&](int first, int last) {
    kernels_.gated(
        {b.wide + hidden, b.wide, b.normed, hidden, 2 * hidden, 2 * hidden, hidden, kernels::Activation::sigmoid},
        first, last);
  });
  team.sync();
  share(team, rows, [&](int first, int last) {
    kernels_.depthwise_conv(b.normed, w.depthwise_conv1d.data(), plan.kernel, hidden, b.q, first, last);
    kernels_.clamp(b.q, -plan.clamp, plan.clamp, hidden, b.q, first, last);
    kernels_.rms_norm(b.q, w.conv_norm.data(), plan.conv_eps, hidden, b.q, first, last);
    kernels_.activate(b.q, kernel_activation(plan.activation), hidden, b.q, first, last);
  });
  team.sync();
  team.lap("depthwise conv");
  linear(team, "conv.end", b, b.q, rows, w.linear_end, b.out);
  share(team, rows, [&](int first, int last) { kernels_.add(b.out, b.x, hidden, 1, hidden, b.x, first, last); });
  team.sync();
  tap(Tap::audio_conv);

  feed_forward(team, b, rows, plan, w.feed_forward2);
  tap(Tap::audio_ffn2);
  share(team, rows, [&](int first, int last) {
    kernels_.clamp(b.x, -plan.clamp, plan.clamp, hidden, b.x, first, last);
    kernels_.rms_norm(b.x, w.norm_out.data(), plan.eps, hidden, b.x, first, last);
  });
  team.sync();
  tap(Tap::audio_out);
}

int Audio::encode(const AudioClip& clip, AudioTaps& taps, std::vector<float>& soft, OpClock* clock) {
  const std::vector<std::uint8_t> half = halved(clip.real),
                                  real = plan_.encoder_free
                                             ? std::vector<std::uint8_t>(clip.real.begin(), clip.real.end())
                                             : halved(half);
  const int rows = int(real.size()), count = int(std::ranges::count_if(real, [](auto v) { return v != 0; }));
  Carver measure;
  Buffers::carve(measure, plan_, clip.features_of_frame, half.size(), real.size(), widths_, operand_kernels_);
  arena_.grow(measure.used());
  Carver carver(arena_.data());
  const Buffers b =
      Buffers::carve(carver, plan_, clip.features_of_frame, half.size(), real.size(), widths_, operand_kernels_);
  if (taps.frames.wants(Tap::audio_mel, -1))
    taps.frames.take({Tap::audio_mel, -1}, clip.first_frame, {clip.features, clip.length, clip.features_of_frame});
  const std::size_t before = soft.size();
  soft.resize(before + std::size_t(count) * std::size_t(text_hidden_));

  with_team(options_.threads, work_ * rows, clock, [&](const Team& team) {
    const float* encoded = clip.features;
    if (!plan_.encoder_free) {
      subsample(team, clip, half, b);
      if (taps.encoded.wants(Tap::audio_subsample, -1))
        team.one([&] { taps.encoded.take({Tap::audio_subsample, -1}, clip.first_encoded, {b.x, rows, plan_.hidden}); });
      for (std::size_t index = 0; index < plan_.layers.size(); ++index) run_layer(team, clip, real, taps, b, index);
      linear(team, "audio.out", b, b.x, rows, weights_.output_proj, b.encoded);
      if (taps.encoded.wants(Tap::audio_encoded, -1))
        team.one([&] {
          taps.encoded.take({Tap::audio_encoded, -1}, clip.first_encoded, {b.encoded, rows, plan_.output});
        });
      encoded = b.encoded;
    }
    team.one([&] {
      float* to = b.real;
      for (int r = 0; r < rows; ++r)
        if (real[std::size_t(r)] != 0) to = std::copy_n(encoded + std::ptrdiff_t(r) * plan_.output, plan_.output, to);
    });
    share(team, count, [&](int first, int last) {
      kernels_.rms_norm(b.real, nullptr, plan_.eps, plan_.output, b.real, first, last);
    });
    team.sync();
    linear(team, "audio.project", b, b.real, count, weights_.embedding_projection, soft.data() + before);
    if (count > 0 && taps.soft.wants(Tap::audio_projected, -1))
      team.one([&] {
        taps.soft.take({Tap::audio_projected, -1}, clip.first_soft, {soft.data() + before, count, text_hidden_});
      });
  });
  return count;
}

}  // namespace assay::cpu
