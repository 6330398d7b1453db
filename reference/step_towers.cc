#include "reference/step_towers.h"

#include <algorithm>
#include <utility>

#include "engine/media_rows.h"
#include "reference/audio_blocks.h"
#include "reference/encode.h"

namespace assay::reference {
namespace {

/// The inputs of one step, read by name.
class Inputs {
 public:
  Inputs(const Parts& parts, std::span<const NamedTensor> given) : parts_(parts), given_(given) {}

  /// A tap as [rows, columns]; `rows` -1 takes any number.
  Result<Grid> tap(Tap tap, int layer, int rows = -1) const {
    const TapId id{tap, layer};
    const Tensor* tensor = find(given_, id.name());
    if (tensor == nullptr) return fail({Failure::bad_input, "step", id.name(), "this input", "none"});
    const auto columns = std::int64_t(
        id.tap == Tap::audio_mel && !tensor->shape.empty() ? tensor->shape.back() : assay::columns(parts_.plan, id));
    const std::int64_t elements = tensor->elements();
    if (columns < 1 || elements == 0 || elements % columns != 0 || (rows >= 0 && elements / columns != rows))
      return fail({Failure::bad_input, "step", id.name(),
                   (rows < 0 ? "rows" : std::to_string(rows) + " rows") + " of " + std::to_string(columns) + " values",
                   shape_text(tensor->shape)});
    ASSAY_TRY(values, tensor->floats());
    Grid grid;
    grid.rows = int(elements / columns);
    grid.cols = int(columns);
    grid.values = std::move(values);
    return grid;
  }

  /// What a layer starts from.
  Result<Grid> in(TapId id) const {
    const TapId from = *input_tap(parts_.plan, id, "in");
    return tap(from.tap, from.layer);
  }

  Result<Patches> patches() const {
    std::vector<NamedTensor> tensors;
    for (const auto& [pixels, positions] :
         {std::pair("pixel_values", "image_position_ids"), std::pair("pixel_values_videos", "video_position_ids")})
      ASSAY_CHECK(with_values(pixels, positions, parts_.plan.vision->patch_values, tensors));
    if (tensors.empty())
      return fail({Failure::bad_input, "step", "image_position_ids", "it or video_position_ids", "neither"});
    ASSAY_TRY(media, media_rows(parts_.plan, tensors));
    return read_patches(media, tensors);
  }

  Result<Frames> frames() const {
    std::vector<NamedTensor> tensors;
    ASSAY_CHECK(with_values("input_features", "input_features_mask", parts_.plan.audio->features, tensors));
    if (tensors.empty()) return fail({Failure::bad_input, "step", "input_features_mask", "this input", "none"});
    ASSAY_TRY(media, media_rows(parts_.plan, tensors));
    return read_frames(media, tensors);
  }
  /// Behind the convolutions.
  Result<Frames> fewer_frames() const {
    ASSAY_TRY(all, frames());
    return audio::halved(audio::halved(all));
  }

  std::span<const NamedTensor> all() const { return given_; }

 private:
  /// Positions or a mask, with values of the right shape: the given ones' shape is checked where they are read.
  Result<void> with_values(const char* values, const char* beside, int width, std::vector<NamedTensor>& to) const {
    const Tensor* tensor = find(given_, beside);
    if (tensor == nullptr) return {};
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    if (tensor->shape.size() < 2 || tensor->elements() == 0 || tensor->elements() > kMost / width)
      return fail({Failure::bad_input, "step", beside, "[n, length, ...]", shape_text(tensor->shape)});
    const std::vector<std::int64_t> shape{tensor->shape[0], tensor->shape[1], width};
    to.push_back({values, Tensor::own(shape, std::vector<float>(std::size_t(shape[0] * shape[1] * width)))});
    to.push_back({beside, *tensor});
    return {};
  }

  const Parts& parts_;
  std::span<const NamedTensor> given_;
};

Result<Grid> pixels_embedded(const Inputs& inputs, const Parts& parts) {
  ASSAY_TRY(media, media_rows(parts.plan, inputs.all()));
  if (media.rows(RowSpace::patches) == 0)
    return fail({Failure::bad_input, "step", "pixel_values", "it or pixel_values_videos", "neither"});
  ASSAY_TRY(patches, read_patches(media, inputs.all()));
  ASSAY_TRY(pixels, read_pixels(inputs.all()));
  return parts.vision->ops.patch_embed(*parts.vision, patches, pixels.view());
}

/// Soft tokens before the projector, of what leaves the last layer.
Result<Grid> pooled(const Inputs& inputs, const Vision& vision) {
  ASSAY_TRY(patches, inputs.patches());
  const auto rows = int(patches.positions.size());
  const bool layers = !vision.layers.empty();
  ASSAY_TRY(last, layers ? inputs.tap(Tap::vision_out, int(vision.layers.size()) - 1, rows)
                         : inputs.tap(Tap::vision_patch_embed, -1, rows));
  Grid soft = vision.ops.pool(vision, patches, last.view());
  if (vision.plan.standardize) vision.ops.standardize(vision, soft.view());
  return soft;
}

Result<Grid> around_vision(const Inputs& inputs, const Parts& parts, Tap tap) {
  const Vision& vision = *parts.vision;
  if (tap == Tap::vision_patch_embed) return pixels_embedded(inputs, parts);
  if (tap == Tap::vision_pooled) return pooled(inputs, vision);
  ASSAY_TRY(soft, vision.plan.encoder_free ? pooled(inputs, vision) : inputs.tap(Tap::vision_pooled, -1));
  return vision.ops.project(vision, soft.view());
}

Result<Grid> in_vision_layer(const Inputs& inputs, const VisionLayer& layer, Tap tap) {
  const VisionLayerOps& ops = layer.ops;
  const int at = layer.index;
  switch (tap) {
    case Tap::vision_attn_norm: {
      ASSAY_TRY(in, inputs.in({tap, at}));
      return ops.attn_norm(layer, in.view());
    }
    case Tap::vision_attn_q:
    case Tap::vision_attn_k:
    case Tap::vision_attn_v: {
      ASSAY_TRY(x, inputs.tap(Tap::vision_attn_norm, at));
      return (tap == Tap::vision_attn_q   ? ops.project_q
              : tap == Tap::vision_attn_k ? ops.project_k
                                          : ops.project_v)(layer, x.view());
    }
    case Tap::vision_attn_q_rope:
    case Tap::vision_attn_k_rope: {
      const bool query = tap == Tap::vision_attn_q_rope;
      ASSAY_TRY(patches, inputs.patches());
      ASSAY_TRY(x, inputs.tap(query ? Tap::vision_attn_q : Tap::vision_attn_k, at, int(patches.positions.size())));
      (query ? ops.rotate_q : ops.rotate_k)(layer, patches, x.view());
      return x;
    }
    case Tap::vision_attn_ctx: {
      ASSAY_TRY(patches, inputs.patches());
      const auto rows = int(patches.positions.size());
      ASSAY_TRY(q, inputs.tap(Tap::vision_attn_q_rope, at, rows));
      ASSAY_TRY(k, inputs.tap(Tap::vision_attn_k_rope, at, rows));
      ASSAY_TRY(v, inputs.tap(Tap::vision_attn_v, at, rows));
      return ops.attend(layer, patches, q.view(), k.view(), v.view());
    }
    case Tap::vision_attn_out: {
      ASSAY_TRY(ctx, inputs.tap(Tap::vision_attn_ctx, at));
      return ops.project_out(layer, ctx.view());
    }
    case Tap::vision_post_attn: {
      ASSAY_TRY(in, inputs.in({tap, at}));
      ASSAY_TRY(out, inputs.tap(Tap::vision_attn_out, at, in.rows));
      return ops.add_attn(layer, in.view(), out.view());
    }
    case Tap::vision_ffn_norm: {
      ASSAY_TRY(x, inputs.tap(Tap::vision_post_attn, at));
      return ops.ffn_norm(layer, x.view());
    }
    case Tap::vision_mlp: {
      ASSAY_TRY(x, inputs.tap(Tap::vision_ffn_norm, at));
      return ops.mlp(layer, x.view());
    }
    default: {
      ASSAY_TRY(x, inputs.tap(Tap::vision_post_attn, at));
      ASSAY_TRY(mlp, inputs.tap(Tap::vision_mlp, at, x.rows));
      return ops.add_ffn(layer, x.view(), mlp.view());
    }
  }
}

Result<Grid> around_audio(const Inputs& inputs, const Parts& parts, Tap tap) {
  const Audio& audio = *parts.audio;
  switch (tap) {
    case Tap::audio_mel: {
      ASSAY_TRY(media, media_rows(parts.plan, inputs.all()));
      if (media.rows(RowSpace::frames) == 0)
        return fail({Failure::bad_input, "step", "input_features", "this input", "none"});
      return read_features(inputs.all());
    }
    case Tap::audio_subsample: {
      ASSAY_TRY(frames, inputs.frames());
      ASSAY_TRY(mel, inputs.tap(Tap::audio_mel, -1, frames.rows()));
      if ((mel.cols + 3) / 4 != audio.plan.frequencies)
        return fail({Failure::bad_input, "step", "audio.mel", std::to_string(audio.plan.features) + " columns",
                     std::to_string(mel.cols)});
      return audio.ops.subsample(audio, frames, mel.view());
    }
    case Tap::audio_encoded: {
      const int last = int(audio.layers.size()) - 1;
      ASSAY_TRY(x, last < 0 ? inputs.tap(Tap::audio_subsample, -1) : inputs.tap(Tap::audio_out, last));
      return audio.ops.output(audio, x.view());
    }
    default: {
      const bool free = audio.plan.encoder_free;
      ASSAY_TRY(frames, free ? inputs.frames() : inputs.fewer_frames());
      ASSAY_TRY(x, inputs.tap(free ? Tap::audio_mel : Tap::audio_encoded, -1, frames.rows()));
      return audio.ops.project(audio, frames, x.view());
    }
  }
}

Result<Grid> in_audio_layer(const Inputs& inputs, const AudioLayer& layer, Tap tap) {
  const AudioLayerOps& ops = layer.ops;
  const int at = layer.index;
  switch (tap) {
    case Tap::audio_ffn1: {
      ASSAY_TRY(in, inputs.in({tap, at}));
      return ops.feed_forward(layer, layer.weights.feed_forward1, in.view());
    }
    case Tap::audio_attn: {
      ASSAY_TRY(frames, inputs.fewer_frames());
      ASSAY_TRY(x, inputs.tap(Tap::audio_ffn1, at, frames.rows()));
      return ops.attention(layer, frames, x.view());
    }
    case Tap::audio_conv: {
      ASSAY_TRY(frames, inputs.fewer_frames());
      ASSAY_TRY(x, inputs.tap(Tap::audio_attn, at, frames.rows()));
      return ops.convolution(layer, frames, x.view());
    }
    case Tap::audio_ffn2: {
      ASSAY_TRY(x, inputs.tap(Tap::audio_conv, at));
      return ops.feed_forward(layer, layer.weights.feed_forward2, x.view());
    }
    default: {
      ASSAY_TRY(x, inputs.tap(Tap::audio_ffn2, at));
      return ops.norm_out(layer, x.view());
    }
  }
}

}  // namespace

Result<Grid> tower_tap(const Parts& parts, TapId id, std::span<const NamedTensor> given) {
  const Inputs inputs(parts, given);
  const bool vision = part_of(id.tap) == TapPart::vision;
  if (id.layer < 0) return vision ? around_vision(inputs, parts, id.tap) : around_audio(inputs, parts, id.tap);
  const auto layer = std::size_t(id.layer);
  return vision ? in_vision_layer(inputs, parts.vision->layers[layer], id.tap)
                : in_audio_layer(inputs, parts.audio->layers[layer], id.tap);
}

Result<SoftTokens> soft_tokens(const Parts& parts, std::span<const std::int64_t> ids,
                               std::span<const NamedTensor> inputs) {
  const auto [images, videos, clips] = count_placeholders(parts.plan, ids);
  ASSAY_TRY(media, media_rows(parts.plan, inputs));
  const Inputs given(parts, inputs);
  SoftTokens soft;
  if (media.images.items > 0 || media.videos.items > 0) {
    const int seen = media.images.items > 0 ? images : 0, watched = media.videos.items > 0 ? videos : 0;
    ASSAY_TRY(rows, given.tap(Tap::vision_projected, -1, seen + watched));
    soft.kinds[SoftTokens::image] = {Grid(rows.view().slice(0, seen)), 0, media.images.items > 0};
    soft.kinds[SoftTokens::video] = {Grid(rows.view().slice(seen, watched)), 0, media.videos.items > 0};
  }
  if (media.audio.items > 0) {
    ASSAY_TRY(rows, given.tap(Tap::audio_projected, -1, clips));
    soft.kinds[SoftTokens::audio] = {std::move(rows), 0, true};
  }
  return soft;
}

}  // namespace assay::reference
