#include "engine/cpu/media.h"

#include <utility>
#include <vector>

#include "engine/media_rows.h"

namespace assay::cpu {

Result<Towers> Towers::open(const Checkpoint& checkpoint, const Options& options) {
  Towers towers;
  const Plan& plan = checkpoint.plan;
  if (plan.vision) {
    Loader loader(checkpoint, options.acts);
    ASSAY_TRY(vision, Vision::open(loader, plan, options));
    ASSAY_CHECK(loader.finish());
    towers.vision = std::move(vision);
  }
  if (plan.audio) {
    Loader loader(checkpoint, options.acts);
    ASSAY_TRY(audio, Audio::open(loader, plan, options));
    ASSAY_CHECK(loader.finish());
    towers.audio = std::move(audio);
  }
  return towers;
}

Result<SoftTokens> Towers::encode(const Plan& plan, std::span<const NamedTensor> tensors, TapSink& taps,
                                  OpClock* clock) {
  ASSAY_TRY(media, media_rows(plan, tensors));
  SoftTokens soft;
  VisionTaps vision_taps{TapSheet(taps, 1, media.rows(RowSpace::patches)),
                         TapSheet(taps, 1, media.rows(RowSpace::vision_soft))};
  int first_patch = 0, first_soft = 0;
  const auto see = [&](SoftTokens::Kind kind, std::string_view pixels, std::string_view positions,
                       const MediaGroup& group) -> Result<void> {
    if (group.items == 0) return {};
    ASSAY_TRY(at, find(tensors, positions)->integers());
    const Tensor& all = *find(tensors, pixels);
    const auto values = std::size_t(group.length) * std::size_t(plan.vision->patch_values);
    std::vector<float> item(values), rows;
    for (int i = 0; i < group.items; ++i) {
      all.widen(std::int64_t(std::size_t(i) * values), item);
      const auto of_item =
          std::span(at).subspan(std::size_t(i) * std::size_t(group.length) * 2, std::size_t(group.length) * 2);
      first_soft +=
          vision->encode({item.data(), of_item, group.length, first_patch, first_soft}, vision_taps, rows, clock);
      first_patch += group.length;
    }
    soft.give(kind, std::move(rows), plan.hidden);
    return {};
  };
  ASSAY_CHECK(see(SoftTokens::image, "pixel_values", "image_position_ids", media.images));
  ASSAY_CHECK(see(SoftTokens::video, "pixel_values_videos", "video_position_ids", media.videos));
  if (media.audio.items == 0) return soft;

  ASSAY_TRY(mask, mask_values("input_features_mask", *find(tensors, "input_features_mask")));
  const std::vector<std::uint8_t> real(mask.begin(), mask.end());
  const Tensor& all = *find(tensors, "input_features");
  AudioTaps audio_taps{TapSheet(taps, 1, media.rows(RowSpace::frames)),
                       TapSheet(taps, 1, media.rows(RowSpace::audio_frames)),
                       TapSheet(taps, 1, media.rows(RowSpace::audio_soft))};
  const int length = media.audio.length;
  const auto values = std::size_t(length) * std::size_t(media.features);
  std::vector<float> clip(values), rows;
  for (int i = 0, first = 0; i < media.audio.items; ++i) {
    all.widen(std::int64_t(std::size_t(i) * values), clip);
    first += audio->encode({clip.data(), std::span(real).subspan(std::size_t(i * length), std::size_t(length)), length,
                            media.features, i * length, i * media.audio_length, first},
                           audio_taps, rows, clock);
  }
  soft.give(SoftTokens::audio, std::move(rows), plan.hidden);
  return soft;
}

}  // namespace assay::cpu
