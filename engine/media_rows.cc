#include "engine/media_rows.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <optional>
#include <string>

namespace assay {
namespace {

Failure wrong(std::string_view field, std::string expected, std::string found) {
  return {Failure::bad_input, "forward", std::string(field), std::move(expected), std::move(found)};
}

struct Pair {
  const Tensor *values = nullptr, *beside = nullptr;
};

/// Two tensors that come together; null both if neither is there.
Result<Pair> pair_of(std::span<const NamedTensor> tensors, std::string_view values, std::string_view beside) {
  const Pair pair{find(tensors, values), find(tensors, beside)};
  if (pair.values != nullptr && pair.beside == nullptr)
    return fail(wrong(beside, "a tensor of that name, as " + std::string(values) + " was passed", "none"));
  if (pair.values == nullptr && pair.beside != nullptr)
    return fail(wrong(values, "a tensor of that name, as " + std::string(beside) + " was passed", "none"));
  return pair;
}

/// [items, length, values] with at least one of each.
Result<MediaGroup> group_of(std::string_view name, const Tensor& tensor) {
  const std::vector<std::int64_t>& shape = tensor.shape;
  const bool fits = shape.size() == 3 && std::all_of(shape.begin(), shape.end(), [](auto n) { return n > 0; }) &&
                    shape[0] <= INT_MAX && shape[1] <= INT_MAX / shape[0] && shape[2] <= INT_MAX;
  if (!fits) return fail(wrong(name, "[n, length, values], none of them 0", shape_text(shape)));
  if (tensor.dtype != Dtype::f32 && tensor.dtype != Dtype::f16 && tensor.dtype != Dtype::bf16 &&
      tensor.dtype != Dtype::f64)
    return fail(wrong(name, "floating point", std::string(name_of(tensor.dtype))));
  return MediaGroup{int(shape[0]), int(shape[1]), 0};
}

struct Position {
  std::int64_t x, y;
  bool padding() const { return x == -1 && y == -1; }
};

/// Soft tokens of one item: in a tower those of its pooled cells that any patch falls into (padding into the first).
Result<int> soft_of(const VisionPlan& plan, std::string_view name, std::span<const Position> patches) {
  const auto length = std::int64_t(patches.size());
  const auto real =
      std::count_if(patches.begin(), patches.end(), [](const Position& p) { return p.x != -1 && p.y != -1; });
  if (plan.encoder_free) return int(real);
  const std::int64_t cells = length / (plan.pool * plan.pool);
  const std::int64_t of_a_cell = cells == 0 ? 0 : length / cells;
  const auto side = std::int64_t(std::sqrt(double(of_a_cell)));
  if (cells == 0 || side * side * cells != length)
    return fail(wrong(name, "a number of patches that is a multiple of " + std::to_string(plan.pool * plan.pool),
                      std::to_string(length)));
  std::int64_t width = 0;
  for (const Position& p : patches) width = std::max(width, p.x + 1);
  width = std::max<std::int64_t>(width, 1);
  std::vector<char> hit(std::size_t(cells), 0);
  for (const Position& p : patches) {
    const std::int64_t cell =
        std::max<std::int64_t>(p.x, 0) / side + width / side * (std::max<std::int64_t>(p.y, 0) / side);
    if (cell >= cells)
      return fail(wrong(name, "positions whose cells are below " + std::to_string(cells), std::to_string(cell)));
    hit[std::size_t(cell)] = 1;
  }
  const auto soft = std::count(hit.begin(), hit.end(), 1);
  if (soft != real / (side * side))
    return fail(
        wrong(name, std::to_string(soft * side * side) + " patches, a full grid of cells", std::to_string(real)));
  return int(soft);
}

Result<MediaGroup> vision_group(const Plan& plan, std::span<const NamedTensor> tensors, std::string_view pixels_name,
                                std::string_view positions_name) {
  ASSAY_TRY(pair, pair_of(tensors, pixels_name, positions_name));
  if (pair.values == nullptr) return MediaGroup{};
  if (!plan.vision) return fail(wrong(pixels_name, "none, as the model has no vision_config", "some"));
  ASSAY_TRY(group, group_of(pixels_name, *pair.values));
  const std::int64_t width = pair.values->shape[2];
  if (width != plan.vision->patch_values)
    return fail(wrong(pixels_name, "[n, patches, " + std::to_string(plan.vision->patch_values) + "]",
                      shape_text(pair.values->shape)));
  const std::vector<std::int64_t> expected{group.items, group.length, 2};
  if (pair.beside->shape != expected)
    return fail(wrong(positions_name, shape_text(expected), shape_text(pair.beside->shape)));
  ASSAY_TRY(flat, pair.beside->integers());
  std::vector<Position> patches;
  patches.reserve(flat.size() / 2);
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) patches.push_back({flat[i], flat[i + 1]});
  for (const Position& p : patches)
    for (const std::int64_t at : {p.x, p.y})
      if (at < -1 || at >= plan.vision->positions)
        return fail(wrong(positions_name, "-1 to " + std::to_string(plan.vision->positions - 1), std::to_string(at)));
  for (int item = 0; item < group.items; ++item) {
    const auto length = std::size_t(group.length);
    ASSAY_TRY(soft,
              soft_of(*plan.vision, positions_name, std::span(patches).subspan(std::size_t(item) * length, length)));
    group.soft += soft;
  }
  return group;
}

Result<void> check_frames(std::span<const NamedTensor> tensors, const MediaGroup& videos) {
  constexpr std::string_view kName = "num_frames_per_video";
  const Tensor* frames = find(tensors, kName);
  if (frames == nullptr) return {};
  ASSAY_TRY(counts, frames->integers());
  std::int64_t total = 0;
  for (const std::int64_t count : counts) {
    if (count < 0 || count > videos.items)
      return fail(wrong(kName, "0 to " + std::to_string(videos.items), std::to_string(count)));
    total += count;
  }
  if (total != videos.items)
    return fail(wrong(kName, std::to_string(videos.items) + " frames in all, as pixel_values_videos has",
                      std::to_string(total)));
  return {};
}

int halved(int n) { return (n + 1) / 2; }

Result<void> read_audio(const Plan& plan, std::span<const NamedTensor> tensors, MediaRows& media) {
  ASSAY_TRY(pair, pair_of(tensors, "input_features", "input_features_mask"));
  if (pair.values == nullptr) return {};
  if (!plan.audio) return fail(wrong("input_features", "none, as the model has no audio_config", "some"));
  ASSAY_TRY(group, group_of("input_features", *pair.values));
  const auto width = int(pair.values->shape[2]);
  const bool fits =
      plan.audio->encoder_free ? width == plan.audio->features : halved(halved(width)) == plan.audio->frequencies;
  if (!fits)
    return fail(wrong("input_features", "[n, frames, " + std::to_string(plan.audio->features) + "]",
                      shape_text(pair.values->shape)));
  const std::vector<std::int64_t> expected{group.items, group.length};
  if (pair.beside->shape != expected)
    return fail(wrong("input_features_mask", shape_text(expected), shape_text(pair.beside->shape)));
  ASSAY_TRY(mask, mask_values("input_features_mask", *pair.beside));
  // Each convolution halves the frames and keeps every other mask entry.
  const std::size_t step = plan.audio->encoder_free ? 1 : 4, length = std::size_t(group.length);
  for (std::size_t clip = 0; clip < std::size_t(group.items); ++clip)
    for (std::size_t frame = 0; frame < length; frame += step) group.soft += mask[clip * length + frame];
  media.audio = group;
  media.audio_length = plan.audio->encoder_free ? group.length : halved(halved(group.length));
  media.features = width;
  return {};
}

}  // namespace

Result<std::vector<char>> mask_values(std::string_view name, const Tensor& tensor) {
  std::vector<char> mask;
  if (auto integers = tensor.integers(); integers) {
    for (const std::int64_t value : *integers) {
      if (value != 0 && value != 1) return fail(wrong(name, "0 or 1", std::to_string(value)));
      mask.push_back(char(value));
    }
    return mask;
  }
  ASSAY_TRY(values, tensor.floats());
  for (const float value : values) {
    if (value != 0 && value != 1) return fail(wrong(name, "0 or 1", std::to_string(value)));
    mask.push_back(char(value));
  }
  return mask;
}

int MediaRows::rows(RowSpace space) const {
  switch (space) {
    case RowSpace::tokens: return 0;
    case RowSpace::patches: return images.items * images.length + videos.items * videos.length;
    case RowSpace::vision_soft: return images.soft + videos.soft;
    case RowSpace::frames: return audio.items * audio.length;
    case RowSpace::audio_frames: return audio.items * audio_length;
    case RowSpace::audio_soft: return audio.soft;
  }
  return 0;
}

std::vector<std::int64_t> MediaRows::leading(RowSpace space) const {
  switch (space) {
    case RowSpace::patches:
      if (videos.items == 0) return {images.items, images.length};
      if (images.items == 0 || images.length == videos.length) return {images.items + videos.items, videos.length};
      break;
    case RowSpace::frames: return {audio.items, audio.length};
    case RowSpace::audio_frames: return {audio.items, audio_length};
    default: break;
  }
  return {rows(space)};
}

Result<MediaRows> media_rows(const Plan& plan, std::span<const NamedTensor> tensors) {
  MediaRows media;
  ASSAY_TRY(images, vision_group(plan, tensors, "pixel_values", "image_position_ids"));
  media.images = images;
  ASSAY_TRY(videos, vision_group(plan, tensors, "pixel_values_videos", "video_position_ids"));
  media.videos = videos;
  ASSAY_CHECK(check_frames(tensors, videos));
  if (std::int64_t{images.items} * images.length + std::int64_t{videos.items} * videos.length > INT_MAX)
    return fail(wrong("pixel_values_videos", "fewer than 2^31 patches in all", "more"));
  ASSAY_CHECK(read_audio(plan, tensors, media));
  return media;
}

std::vector<std::int64_t> tap_shape(const Plan& plan, const MediaRows& media, TapId id, std::int64_t batch,
                                    std::int64_t tokens) {
  const RowSpace space = row_space(id.tap);
  std::vector<std::int64_t> shape =
      space == RowSpace::tokens ? std::vector<std::int64_t>{batch, tokens} : media.leading(space);
  if (id.tap == Tap::audio_mel)
    shape.push_back(media.features);
  else
    for (const std::int64_t extent : row_shape(plan, id)) shape.push_back(extent);
  return shape;
}

std::array<int, 3> count_placeholders(const Plan& plan, std::span<const std::int64_t> ids) {
  const auto count = [&](const std::optional<std::int64_t>& id) {
    return id ? int(std::count(ids.begin(), ids.end(), *id)) : 0;
  };
  return {count(plan.placeholders.image), count(plan.placeholders.video), count(plan.placeholders.audio)};
}

Result<void> check_placeholders(const Plan& plan, const MediaRows& media, std::span<const std::int64_t> ids,
                                bool whole) {
  const std::array<int, 3> found = count_placeholders(plan, ids);
  const std::array<const MediaGroup*, 3> groups = {&media.images, &media.videos, &media.audio};
  constexpr std::array<const char*, 3> kNames = {"image", "video", "audio"};
  for (std::size_t kind = 0; kind < groups.size(); ++kind) {
    if (groups[kind]->items == 0) continue;
    const int soft = groups[kind]->soft;
    if (found[kind] > soft || (whole && found[kind] < soft))
      return fail(wrong("input_ids",
                        std::to_string(soft) + " " + kNames[kind] + " placeholders, one for each soft token",
                        std::to_string(found[kind])));
  }
  return {};
}

}  // namespace assay
