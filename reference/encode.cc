#include "reference/encode.h"

#include <algorithm>
#include <string>

#include "reference/parts.h"

namespace assay::reference {
namespace {

/// Source: Gemma4VisionEncoderLayer.forward.
Grid run_layer(const VisionLayer& layer, const Patches& patches, Rows<const float> in, TapSink& taps) {
  const VisionLayerOps& ops = layer.ops;
  const int at = layer.index;
  const Grid attn_norm = ops.attn_norm(layer, in);
  taps.offer(Tap::vision_attn_norm, at, [&] { return attn_norm.view(); });
  Grid q = ops.project_q(layer, attn_norm.view());
  taps.offer(Tap::vision_attn_q, at, [&] { return q.view(); });
  Grid k = ops.project_k(layer, attn_norm.view());
  taps.offer(Tap::vision_attn_k, at, [&] { return k.view(); });
  const Grid v = ops.project_v(layer, attn_norm.view());
  taps.offer(Tap::vision_attn_v, at, [&] { return v.view(); });
  ops.rotate_q(layer, patches, q.view());
  taps.offer(Tap::vision_attn_q_rope, at, [&] { return q.view(); });
  ops.rotate_k(layer, patches, k.view());
  taps.offer(Tap::vision_attn_k_rope, at, [&] { return k.view(); });
  const Grid ctx = ops.attend(layer, patches, q.view(), k.view(), v.view());
  taps.offer(Tap::vision_attn_ctx, at, [&] { return ctx.view(); });
  const Grid attn_out = ops.project_out(layer, ctx.view());
  taps.offer(Tap::vision_attn_out, at, [&] { return attn_out.view(); });
  const Grid post_attn = ops.add_attn(layer, in, attn_out.view());
  taps.offer(Tap::vision_post_attn, at, [&] { return post_attn.view(); });
  const Grid ffn_norm = ops.ffn_norm(layer, post_attn.view());
  taps.offer(Tap::vision_ffn_norm, at, [&] { return ffn_norm.view(); });
  const Grid mlp = ops.mlp(layer, ffn_norm.view());
  taps.offer(Tap::vision_mlp, at, [&] { return mlp.view(); });
  Grid out = ops.add_ffn(layer, post_attn.view(), mlp.view());
  taps.offer(Tap::vision_out, at, [&] { return out.view(); });
  return out;
}

/// Source: Gemma4VisionModel.forward, Gemma4UnifiedVisionEmbedder.forward.
Grid see(const Vision& vision, const Patches& patches, Rows<const float> pixels, TapSink& taps) {
  Grid x = vision.ops.patch_embed(vision, patches, pixels);
  taps.offer(Tap::vision_patch_embed, -1, [&] { return x.view(); });
  for (const VisionLayer& layer : vision.layers) x = run_layer(layer, patches, x.view(), taps);
  Grid pooled = vision.ops.pool(vision, patches, x.view());
  if (vision.plan.standardize) vision.ops.standardize(vision, pooled.view());
  if (!vision.plan.encoder_free) taps.offer(Tap::vision_pooled, -1, [&] { return pooled.view(); });
  Grid projected = vision.ops.project(vision, pooled.view());
  taps.offer(Tap::vision_projected, -1, [&] { return projected.view(); });
  return projected;
}

/// Source: Gemma4AudioLayer.forward.
Grid run_layer(const AudioLayer& layer, const Frames& frames, Rows<const float> in, TapSink& taps) {
  const AudioLayerOps& ops = layer.ops;
  const int at = layer.index;
  Grid x = ops.feed_forward(layer, layer.weights.feed_forward1, in);
  taps.offer(Tap::audio_ffn1, at, [&] { return x.view(); });
  x = ops.attention(layer, frames, x.view());
  taps.offer(Tap::audio_attn, at, [&] { return x.view(); });
  x = ops.convolution(layer, frames, x.view());
  taps.offer(Tap::audio_conv, at, [&] { return x.view(); });
  x = ops.feed_forward(layer, layer.weights.feed_forward2, x.view());
  taps.offer(Tap::audio_ffn2, at, [&] { return x.view(); });
  x = ops.norm_out(layer, x.view());
  taps.offer(Tap::audio_out, at, [&] { return x.view(); });
  return x;
}

/// Source: Gemma4AudioModel.forward, Gemma4UnifiedModel.get_audio_features.
Grid hear(const Audio& audio, Frames frames, Grid x, TapSink& taps) {
  taps.offer(Tap::audio_mel, -1, [&] { return x.view(); });
  if (!audio.plan.encoder_free) {
    x = audio.ops.subsample(audio, frames, x.view());
    taps.offer(Tap::audio_subsample, -1, [&] { return x.view(); });
    for (const AudioLayer& layer : audio.layers) x = run_layer(layer, frames, x.view(), taps);
    x = audio.ops.output(audio, x.view());
    taps.offer(Tap::audio_encoded, -1, [&] { return x.view(); });
  }
  Grid projected = audio.ops.project(audio, frames, x.view());
  taps.offer(Tap::audio_projected, -1, [&] { return projected.view(); });
  return projected;
}

Grid rows_of(const Grid& all, int first, int count) { return Grid(all.view().slice(first, count)); }

/// [items, length, values] as rows.
Result<void> append_rows(const Tensor& tensor, Grid& to) {
  ASSAY_TRY(values, tensor.floats());
  to.values.insert(to.values.end(), values.begin(), values.end());
  to.rows += int(tensor.shape[0] * tensor.shape[1]);
  to.cols = int(tensor.shape[2]);
  return {};
}

}  // namespace

Result<Patches> read_patches(const MediaRows& media, std::span<const NamedTensor> tensors) {
  Patches patches;
  const auto add = [&](std::string_view name, const MediaGroup& group) -> Result<void> {
    if (group.items == 0) return {};
    ASSAY_TRY(flat, find(tensors, name)->integers());
    for (int i = 0; i < group.items; ++i)
      patches.items.push_back({int(patches.positions.size()) + i * group.length, group.length});
    for (std::size_t i = 0; i + 1 < flat.size(); i += 2) patches.positions.push_back({flat[i], flat[i + 1]});
    return {};
  };
  ASSAY_CHECK(add("image_position_ids", media.images));
  ASSAY_CHECK(add("video_position_ids", media.videos));
  return patches;
}

Result<Grid> read_pixels(std::span<const NamedTensor> tensors) {
  Grid pixels;
  for (const char* name : {"pixel_values", "pixel_values_videos"})
    if (const Tensor* tensor = find(tensors, name); tensor != nullptr) ASSAY_CHECK(append_rows(*tensor, pixels));
  return pixels;
}

Result<Frames> read_frames(const MediaRows& media, std::span<const NamedTensor> tensors) {
  ASSAY_TRY(real, mask_values("input_features_mask", *find(tensors, "input_features_mask")));
  return Frames{media.audio.items, media.audio.length, std::move(real)};
}

Result<Grid> read_features(std::span<const NamedTensor> tensors) {
  Grid features;
  ASSAY_CHECK(append_rows(*find(tensors, "input_features"), features));
  return features;
}

Result<SoftTokens> encode(const Parts& parts, std::span<const NamedTensor> tensors, TapSink& taps) {
  ASSAY_TRY(media, media_rows(parts.plan, tensors));
  SoftTokens soft;
  if (media.images.items > 0 || media.videos.items > 0) {
    ASSAY_TRY(patches, read_patches(media, tensors));
    ASSAY_TRY(pixels, read_pixels(tensors));
    const Grid projected = see(*parts.vision, patches, pixels.view(), taps);
    const int images = std::min(media.images.soft, projected.rows);
    soft.kinds[SoftTokens::image] = {rows_of(projected, 0, images), 0, media.images.items > 0};
    soft.kinds[SoftTokens::video] = {rows_of(projected, images, projected.rows - images), 0, media.videos.items > 0};
  }
  if (media.audio.items > 0) {
    ASSAY_TRY(frames, read_frames(media, tensors));
    ASSAY_TRY(features, read_features(tensors));
    soft.kinds[SoftTokens::audio] = {hear(*parts.audio, std::move(frames), std::move(features), taps), 0, true};
  }
  return soft;
}

Result<void> merge(const Parts& parts, std::span<const std::int64_t> ids, SoftTokens& soft, Rows<float> embeds) {
  const Placeholders& at = parts.plan.placeholders;
  const std::array<std::optional<std::int64_t>, 3> placeholders = {at.image, at.video, at.audio};
  constexpr std::array<const char*, 3> kNames = {"image", "video", "audio"};
  for (std::size_t kind = 0; kind < placeholders.size(); ++kind) {
    SoftTokens::Queue& queue = soft.kinds[kind];
    if (!queue.given || queue.used == queue.rows.rows || !placeholders[kind]) continue;
    for (int row = 0; row < embeds.rows; ++row) {
      if (ids[std::size_t(row)] != *placeholders[kind]) continue;
      if (queue.used == queue.rows.rows)
        return fail({Failure::bad_input, "forward", "input_ids",
                     std::to_string(queue.rows.rows) + " " + kNames[kind] + " placeholders in all", "more"});
      std::ranges::copy(queue.rows.row(queue.used++), embeds.row(row).begin());
    }
  }
  return {};
}

}  // namespace assay::reference
