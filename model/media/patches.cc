#include "model/media/patches.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace assay {
namespace {

std::string text(Size size) { return std::to_string(size.width) + " x " + std::to_string(size.height); }

}  // namespace

Result<Size> target_size(Size image, const PatchSettings& settings, const std::string& where) {
  if (image.width < 1 || image.height < 1)
    return fail({Failure::bad_input, where, "size", "at least one pixel", text(image)});
  const double w = image.width;
  const double h = image.height;
  const int patches = settings.soft_tokens * settings.pool * settings.pool;
  const double pixels = double(patches) * double(settings.patch) * double(settings.patch);
  const double factor = std::sqrt(pixels / (h * w));
  const int side = settings.pool * settings.patch;
  const auto down = [&](double length) { return std::int64_t(std::floor(factor * length / side)) * side; };
  std::int64_t height = down(h);
  std::int64_t width = down(w);
  if (height == 0 && width == 0)
    return fail({Failure::bad_input, where, "size", "room for one square of " + std::to_string(side) + " pixels",
                 text(image) + " in " + std::to_string(settings.soft_tokens) + " tokens"});
  // A strip: one square across, and as long as its aspect ratio and the budget let it be.
  const std::int64_t longest = std::int64_t{settings.soft_tokens} * side;
  if (height == 0) {
    height = side;
    width = std::min(std::int64_t(std::floor(w / h)) * side, longest);
  } else if (width == 0) {
    width = side;
    height = std::min(std::int64_t(std::floor(h / w)) * side, longest);
  }
  if (double(height) * double(width) > pixels)
    return fail({Failure::bad_input, where, "size", "at most " + std::to_string(settings.soft_tokens) + " soft tokens",
                 text(image)});
  return Size{int(width), int(height)};
}

Result<Patches> make_patches(const Image& image, const PatchSettings& settings, const std::string& where) {
  const int square = settings.pool * settings.patch;
  if (square < 1 || image.width < square || image.height < square || image.width % square != 0 ||
      image.height % square != 0)
    return fail({Failure::bad_input, where, "size", "sides that are multiples of " + std::to_string(square),
                 text({image.width, image.height})});
  const int side = settings.merged ? square : settings.patch;  // merging pool x pool patches gives one larger patch
  const int across = image.width / side;
  const int down = image.height / side;
  if (std::int64_t{across} * down > settings.rows())
    return fail({Failure::bad_input, where, "size", "at most " + std::to_string(settings.rows()) + " patches",
                 std::to_string(across) + " x " + std::to_string(down)});
  const auto scale = float(settings.rescale);
  std::array<float, 3> mean{};
  std::array<float, 3> deviation{1, 1, 1};
  if (settings.normalize)
    for (std::size_t channel = 0; channel < 3; ++channel) {
      mean[channel] = float(settings.mean[channel]) * float(1.0 / settings.rescale);
      deviation[channel] = float(settings.std[channel]) * float(1.0 / settings.rescale);
    }
  std::array<std::array<float, 256>, 3> values{};  // of each level of each channel
  for (std::size_t channel = 0; channel < 3; ++channel)
    for (std::size_t level = 0; level < 256; ++level)
      values[channel][level] =
          settings.normalize ? (float(level) - mean[channel]) / deviation[channel] : float(level) * scale;

  Patches patches;
  patches.soft_tokens = image.width / square * (image.height / square);
  patches.values.assign(std::size_t(settings.rows()) * std::size_t(settings.columns()), 0);
  patches.positions.assign(std::size_t(settings.rows()) * 2, -1);
  auto out = patches.values.begin();
  auto position = patches.positions.begin();
  for (int y = 0; y < down; ++y)
    for (int x = 0; x < across; ++x) {
      *position++ = x;
      *position++ = y;
      for (int row = y * side; row < (y + 1) * side; ++row) {
        const std::size_t first =
            (std::size_t(row) * std::size_t(image.width) + std::size_t(x) * std::size_t(side)) * 3;
        const std::uint8_t* in = &image.rgb[first];
        for (int i = 0; i < side; ++i)
          for (std::size_t channel = 0; channel < 3; ++channel) *out++ = values[channel][*in++];
      }
    }
  return patches;
}

}  // namespace assay
