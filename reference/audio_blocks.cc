#include "reference/audio_blocks.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "reference/ops/activation.h"
#include "reference/ops/convolution.h"
#include "reference/ops/dot.h"
#include "reference/ops/layer_norm.h"
#include "reference/ops/linear.h"
#include "reference/ops/parallel.h"
#include "reference/ops/rms_norm.h"
#include "reference/ops/softcap.h"
#include "reference/ops/softmax.h"

namespace assay::reference {
namespace audio {
namespace {

void clamped(const AudioLayer& layer, Grid& x) { layer.ops.clamp(x.values, {-layer.plan.clamp, layer.plan.clamp}); }

void add(Grid& x, Rows<const float> to) {
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += to.data[i];
}

/// Linear above 20, as torch has it.
float softplus(float x) { return x > 20 ? x : float(std::log1p(std::exp(double{x}))); }

float sigmoid(float x) { return float(1 / (1 + std::exp(-double{x}))); }

}  // namespace

Frames halved(const Frames& frames) {
  Frames now{frames.clips, (frames.length + 1) / 2, {}};
  for (int clip = 0; clip < frames.clips; ++clip)
    for (int frame = 0; frame < now.length; ++frame) now.real.push_back(frames.is_real(clip, 2 * frame) ? 1 : 0);
  return now;
}

Grid convolve_clips(const Audio& audio, int index, Frames& frames, Rows<const float> x) {
  const int channels = audio.plan.channels[index], before = index == 0 ? 1 : audio.plan.channels[0];
  Grid all(0, 0);
  for (int clip = 0; clip < frames.clips; ++clip) {
    Grid masked(x.slice(clip * frames.length, frames.length));
    for (int frame = 0; frame < frames.length; ++frame)
      if (!frames.is_real(clip, frame)) std::ranges::fill(masked.row(frame), 0.0F);
    const Grid one = audio.ops.convolve(masked.view(), before, audio.weights.conv[index]);
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
    all.rows += one.rows;
    all.cols = one.cols;
  }
  audio.ops.layer_norm({all.values.data(), int(all.values.size()) / channels, channels}, audio.weights.conv_norm[index],
                       {}, audio.plan.eps);
  audio.ops.activate(all.values, Activation::relu);
  frames = halved(frames);
  return all;
}

Grid subsample(const Audio& audio, Frames& frames, Rows<const float> mel) {
  Grid x(mel);
  for (int index = 0; index < 2; ++index) x = audio.ops.convolve_clips(audio, index, frames, x.view());
  Grid y(x.rows, audio.plan.hidden);
  linear(x.view(), audio.weights.input_proj_linear, {}, y.view());
  return y;
}

Grid feed_forward(const AudioLayer& layer, const FeedForwardWeights& w, Rows<const float> in) {
  Grid x(in);
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), w.pre_layer_norm, layer.plan.eps);
  x = layer.ops.linear(x.view(), w.ffw_layer_1);
  layer.ops.activate(x.values, layer.plan.activation);
  x = layer.ops.linear(x.view(), w.ffw_layer_2);
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), w.post_layer_norm, layer.plan.eps);
  for (float& v : x.values) v *= layer.plan.residual_weight;
  add(x, in);
  return x;
}

Grid attention(const AudioLayer& layer, const Frames& frames, Rows<const float> in) {
  Grid x(in);
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), layer.weights.norm_pre_attn, layer.plan.eps);
  const Grid q = layer.ops.project_q(layer, x.view()), k = layer.ops.project_k(layer, x.view()),
             v = layer.ops.project_v(layer, x.view());
  x = layer.ops.linear(layer.ops.attend(layer, frames, q.view(), k.view(), v.view()).view(), layer.weights.post);
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), layer.weights.norm_post_attn, layer.plan.eps);
  add(x, in);
  return x;
}

Grid convolution(const AudioLayer& layer, const Frames& frames, Rows<const float> in) {
  Grid x(in);
  layer.ops.rms_norm(x.view(), layer.weights.conv_pre_layer_norm, layer.plan.conv_eps);
  const Grid both = layer.ops.linear(x.view(), layer.weights.linear_start);
  const auto width = std::size_t(x.cols);
  for (int r = 0; r < x.rows; ++r)
    for (std::size_t c = 0; c < width; ++c) x.row(r)[c] = both.row(r)[c] * sigmoid(both.row(r)[width + c]);
  for (int clip = 0; clip < frames.clips; ++clip) {
    const Rows<float> part = x.view().slice(clip * frames.length, frames.length);
    std::ranges::copy(layer.ops.convolve(part, layer.weights.depthwise_conv1d).values, part.data);
  }
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), layer.weights.conv_norm, layer.plan.conv_eps);
  layer.ops.activate(x.values, layer.plan.activation);
  x = layer.ops.linear(x.view(), layer.weights.linear_end);
  add(x, in);
  return x;
}

Grid norm_out(const AudioLayer& layer, Rows<const float> in) {
  Grid x(in);
  clamped(layer, x);
  layer.ops.rms_norm(x.view(), layer.weights.norm_out, layer.plan.eps);
  return x;
}

Grid project_q(const AudioLayer& layer, Rows<const float> x) {
  Grid q = layer.ops.linear(x, layer.weights.q_proj);
  const auto d = std::size_t(layer.plan.head_dim);
  const float scale = float(std::pow(double(d), -0.5) / std::numbers::ln2);
  for (std::size_t i = 0; i < q.values.size(); ++i)
    q.values[i] = q.values[i] * scale * softplus(layer.weights.per_dim_scale[i % d]);
  return q;
}

Grid project_k(const AudioLayer& layer, Rows<const float> x) {
  Grid k = layer.ops.linear(x, layer.weights.k_proj);
  const float scale = float(std::log(1 + std::numbers::e) / std::numbers::ln2);
  for (float& v : k.values) v *= scale;
  return k;
}

Grid project_v(const AudioLayer& layer, Rows<const float> x) { return layer.ops.linear(x, layer.weights.v_proj); }

Grid relative_keys(const AudioLayer& layer) {
  const int farthest = layer.plan.context() / 2, half = layer.hidden / 2;
  const float step = float(-std::log(10000.0) / std::max(half - 1, 1));
  Grid sines(farthest + 1, layer.hidden);
  for (int r = 0; r <= farthest; ++r)
    for (int i = 0; i < half; ++i) {
      const float timescale = std::exp(float(i) * step);
      const float angle = float(farthest - r) * timescale;
      sines.row(r)[std::size_t(i)] = float(std::sin(double{angle}));
      sines.row(r)[std::size_t(half + i)] = float(std::cos(double{angle}));
    }
  Grid keys(sines.rows, layer.weights.relative_k_proj.rows);
  linear(sines.view(), layer.weights.relative_k_proj, {}, keys.view());
  return keys;
}

void relative_shift(const AudioLayerPlan& plan, Rows<const float> products, int query, std::span<float> bias) {
  const int context = plan.context();
  for (int j = 0; j < context; ++j) {
    const int at = query * context + j, row = at / (context + 1), column = at % (context + 1);
    bias[std::size_t(j)] = column < products.cols ? products.row(row)[std::size_t(column)] : 0.0F;
  }
}

bool visible(const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
  if (!frames.is_real(clip, key)) return false;
  const int distance = query - key;
  return distance >= 0 ? distance < plan.past : -distance < plan.future;
}

Grid attend(const AudioLayer& layer, const Frames& frames, Rows<const float> q, Rows<const float> k,
            Rows<const float> v) {
  const AudioLayerPlan& plan = layer.plan;
  const auto d = std::size_t(plan.head_dim), context = std::size_t(plan.context());
  const int blocks = (frames.length + plan.chunk - 1) / plan.chunk;
  const Grid relative = layer.ops.relative_keys(layer);
  Grid ctx(q.rows, q.cols);
#pragma omp parallel for if (worth_threads(std::int64_t{q.rows} * q.cols * plan.chunk * 4))
  for (int job = 0; job < frames.clips * blocks; ++job) {
    const int clip = job / blocks, start = job % blocks * plan.chunk, base = clip * frames.length;
    const int queries = std::min(plan.chunk, frames.length - start);
    std::vector<float> scores(context), bias(context);
    for (std::size_t head = 0; head < std::size_t(plan.heads); ++head) {
      const auto part = [&](Rows<const float> rows, int row) { return rows.row(row).subspan(head * d, d); };
      Grid products(plan.chunk, relative.rows);  // of queries behind the clip's end: zeros
      for (int i = 0; i < queries; ++i)
        for (int r = 0; r < relative.rows; ++r)
          products.row(i)[std::size_t(r)] = dot(part(q, base + start + i), part(relative.view(), r));
      for (int i = 0; i < queries; ++i) {
        layer.ops.relative_shift(plan, products.view(), i, bias);
        const auto key_of = [&](std::size_t j) { return start - plan.past + int(j); };
        const auto inside = [&](int key) { return key >= 0 && key < frames.length; };
        for (std::size_t j = 0; j < context; ++j) {
          const int key = key_of(j);
          scores[j] = bias[j] + (inside(key) ? dot(part(q, base + start + i), part(k, base + key)) : 0.0F);
        }
        softcap(scores, plan.logit_cap);
        for (std::size_t j = 0; j < context; ++j) {
          const int key = key_of(j);
          if (!inside(key) || !layer.ops.visible(plan, frames, clip, start + i, key)) scores[j] = plan.invalid_logit;
        }
        softmax(scores, {});
        std::vector<double> sums(d, 0);
        for (std::size_t j = 0; j < context; ++j) {
          if (!inside(key_of(j))) continue;
          const std::span<const float> value = part(v, base + key_of(j));
          for (std::size_t c = 0; c < d; ++c) sums[c] += double{scores[j]} * value[c];
        }
        for (std::size_t c = 0; c < d; ++c) ctx.row(base + start + i)[head * d + c] = float(sums[c]);
      }
    }
  }
  return ctx;
}

Grid output(const Audio& audio, Rows<const float> last) {
  Grid y(last.rows, audio.weights.output_proj.rows);
  linear(last, audio.weights.output_proj, audio.weights.output_bias, y.view());
  return y;
}

Grid project(const Audio& audio, const Frames& frames, Rows<const float> encoded) {
  Grid x(0, encoded.cols);
  for (int r = 0; r < encoded.rows; ++r) {
    if (!frames.real[std::size_t(r)]) continue;
    x.values.insert(x.values.end(), encoded.row(r).begin(), encoded.row(r).end());
    ++x.rows;
  }
  audio.ops.rms_norm(x.view(), {}, audio.plan.eps);
  Grid y(x.rows, audio.weights.embedding_projection.rows);
  linear(x.view(), audio.weights.embedding_projection, {}, y.view());
  return y;
}

}  // namespace audio

AudioLayerOps audio_layer_ops() {
  return {.rms_norm = rms_norm,
          .linear = clipped_linear,
          .activate = activate,
          .clamp = clamp,
          .feed_forward = audio::feed_forward,
          .attention = audio::attention,
          .convolution = audio::convolution,
          .norm_out = audio::norm_out,
          .project_q = audio::project_q,
          .project_k = audio::project_k,
          .project_v = audio::project_v,
          .relative_keys = audio::relative_keys,
          .relative_shift = audio::relative_shift,
          .visible = audio::visible,
          .attend = audio::attend,
          .convolve = convolve_causal};
}

AudioOps audio_ops() {
  return {.rms_norm = rms_norm,
          .layer_norm = layer_norm,
          .activate = activate,
          .convolve = convolve_2d,
          .convolve_clips = audio::convolve_clips,
          .subsample = audio::subsample,
          .output = audio::output,
          .project = audio::project};
}

}  // namespace assay::reference
