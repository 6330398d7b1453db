// Any bytes as a picture, a sound and a film: refused with a message, or something whose sizes agree, and what is made
// of it.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

extern "C" {
#include <libavutil/mem.h>
}

#include "model/media/audio.h"
#include "model/media/exif.h"
#include "model/media/image.h"
#include "model/media/mel.h"
#include "model/media/patches.h"
#include "model/media/resize.h"
#include "model/media/video.h"

namespace {

constexpr std::int64_t kPixels = 1 << 14;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_image(const assay::Image& image) {
  check(image.width > 0 && image.height > 0 && std::int64_t{image.width} * image.height <= kPixels);
  check(image.rgb.size() == std::size_t(image.width) * std::size_t(image.height) * 3);
  const assay::PatchSettings settings{.patch = 2, .pool = 2, .soft_tokens = 70};
  const auto size = assay::target_size({image.width, image.height}, settings, "fuzz");
  if (!size) return;
  const auto sized = assay::resize_bicubic(image, size->width, size->height);
  check(sized.has_value());
  const auto patches = assay::make_patches(*sized, settings, "fuzz");
  check(patches.has_value() && patches->soft_tokens >= 1 && patches->soft_tokens <= 70);
}

void check_sound(std::vector<float> samples) {
  check(!samples.empty() && samples.size() <= 4000);
  const std::vector<std::vector<float>> clips{std::move(samples)};
  const auto features = assay::log_mel(clips, {});
  check(features.has_value() && features->values.size() == features->mask.size() * 128);
  for (const float value : features->values) check(std::isfinite(value));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const int orientation = assay::exif_orientation({reinterpret_cast<const char*>(data), size});
  check(orientation >= 1 && orientation <= 8);
  av_max_alloc(std::size_t{16} << 20U);
  const auto image = assay::decode_image(bytes, "fuzz", {.pixels = kPixels, .file_bytes = 1 << 20});
  image ? check_image(*image) : check(!image.error().message().empty());
  if (image || size < 12) return 0;
  auto sound = assay::decode_audio(bytes, "fuzz", assay::kAudioRate, {.stop_after = 4000});
  sound ? check_sound(*std::move(sound)) : check(!sound.error().message().empty());
  const auto film = assay::decode_video(bytes, "fuzz", assay::Sampling{.num_frames = 2},
                                        {.pixels = kPixels, .rgb_bytes = 6 * kPixels, .frames = 32});
  if (!film) return 0;
  check(film->frames.size() == 2 && film->indices.size() == 2);
  for (const assay::Image& frame : film->frames) check_image(frame);
  return 0;
}
