#include "model/media/yuv_to_rgb.h"

#include <algorithm>
#include <vector>

namespace assay {
namespace {

std::uint8_t clip(int value) { return std::uint8_t(std::clamp(value, 0, 255)); }

/// One row of a JPEG's chroma at full width. `near` is the plane's row that lies on it, `far` the neighbour that has a
/// quarter of the weight; both the same where the plane has full height.
void upsample_row(const Plane& plane, int across, int near_row, int far_row, bool upper, std::span<std::uint8_t> out) {
  const std::uint8_t* near = plane.row(near_row);
  const std::uint8_t* far = plane.row(far_row);
  const bool down = near != far;  // a mixture of two rows, sums of 4
  const auto sum = [&](int x) { return down ? 3 * near[x] + far[x] : int(near[x]); };
  const int last = plane.width - 1;
  const auto put = [&](std::size_t x, int value) {
    if (x < out.size()) out[x] = std::uint8_t(value);
  };
  if (across == 1) {
    for (int x = 0; x <= last; ++x) put(std::size_t(x), down ? (sum(x) + (upper ? 1 : 2)) >> 2 : sum(x));
    return;
  }
  for (int x = 0; x <= last; ++x) {
    const int here = sum(x);
    const int left = x == 0 ? here : sum(x - 1);
    const int right = x == last ? here : sum(x + 1);
    if (down) {
      put(std::size_t(x) * 2, (3 * here + left + 8) >> 4);
      put(std::size_t(x) * 2 + 1, (3 * here + right + 7) >> 4);
    } else {
      put(std::size_t(x) * 2, x == 0 ? here : (3 * here + left + 1) >> 2);
      put(std::size_t(x) * 2 + 1, x == last ? here : (3 * here + right + 2) >> 2);
    }
  }
}

/// Row `y` of the picture out of a chroma plane.
void chroma_row(const Plane& plane, const Plane& luma, int y, std::span<std::uint8_t> out) {
  const int across = plane.width == luma.width ? 1 : (luma.width + 1) / 2 == plane.width ? 2 : 4;
  const int down = plane.height == luma.height ? 1 : (luma.height + 1) / 2 == plane.height ? 2 : 4;
  const int row = std::min(y / down, plane.height - 1);
  // libjpeg mixes neighbours for factors of 2 alone, and across only where the plane is wider than 2.
  const bool narrow = across == 2 && plane.width <= 2;
  if (across == 4 || down == 4 || narrow) {
    for (std::size_t x = 0; x < out.size(); ++x) out[x] = plane.row(row)[std::min(int(x) / across, plane.width - 1)];
    return;
  }
  const bool upper = y % 2 == 0;
  const int far = down == 1 ? row : std::clamp(row + (upper ? -1 : 1), 0, plane.height - 1);
  if (down == 2 && far == row) {  // the edge's neighbour is itself, but its sums are still of 4
    std::vector<std::uint8_t> copy(plane.row(row), plane.row(row) + plane.width);
    const Plane two{plane.row(row), copy.data() - plane.row(row), plane.width, 2};
    upsample_row(two, across, 0, 1, upper, out);
    return;
  }
  upsample_row(plane, across, row, far, upper, out);
}

int fixed(double value) { return int(value * 65536 + 0.5); }  // NOLINT(bugprone-incorrect-roundings): libjpeg's

}  // namespace

void jpeg_to_rgb(const Plane& y, const Plane& cb, const Plane& cr, std::span<std::uint8_t> rgb) {
  constexpr int kHalf = 1 << 15;
  std::vector<std::uint8_t> blue(std::size_t(y.width));
  std::vector<std::uint8_t> red(std::size_t(y.width));
  for (int row = 0; row < y.height; ++row) {
    chroma_row(cb, y, row, blue);
    chroma_row(cr, y, row, red);
    std::uint8_t* out = &rgb[std::size_t(row) * std::size_t(y.width) * 3];
    for (int x = 0; x < y.width; ++x, out += 3) {
      const int luma = y.row(row)[x];
      const int b = blue[std::size_t(x)] - 128;
      const int r = red[std::size_t(x)] - 128;
      out[0] = clip(luma + ((fixed(1.40200) * r + kHalf) >> 16));
      out[1] = clip(luma + ((-fixed(0.34414) * b + kHalf - fixed(0.71414) * r) >> 16));
      out[2] = clip(luma + ((fixed(1.77200) * b + kHalf) >> 16));
    }
  }
}

namespace {

void put_webp(int y, int u, int v, std::uint8_t* out) {
  const auto high = [](int value, int factor) { return (value * factor) >> 8; };
  const auto narrow = [](int value) { return clip(value >> 6); };
  out[0] = narrow(high(y, 19077) + high(v, 26149) - 14234);
  out[1] = narrow(high(y, 19077) - high(u, 6419) - high(v, 13320) + 8708);
  out[2] = narrow(high(y, 19077) + high(u, 33050) - 17685);
}

/// Chroma at the picture's (x, y): 9, 3, 3 and 1 sixteenths of the four nearest, with libwebp's two roundings.
int webp_chroma(const Plane& plane, int width, int x, int y) {
  const int near_row = y / 2;
  const int far_row = std::clamp(y % 2 == 0 ? near_row - 1 : near_row + 1, 0, plane.height - 1);
  const bool edge = x == 0 || (x == width - 1 && width % 2 == 0);
  const int near_col = x / 2;
  const int near = plane.row(near_row)[near_col];
  const int far = plane.row(far_row)[near_col];
  if (edge) return (3 * near + far + 2) >> 2;
  const int side_col = x % 2 == 0 ? near_col - 1 : near_col + 1;
  const int side = plane.row(near_row)[side_col];
  const int opposite = plane.row(far_row)[side_col];
  const int diagonal = (near + far + side + opposite + 8 + 2 * (far + side)) >> 3;
  return (diagonal + near) >> 1;
}

}  // namespace

void webp_to_rgb(const Plane& y, const Plane& u, const Plane& v, std::span<std::uint8_t> rgb) {
  std::uint8_t* out = rgb.data();
  for (int row = 0; row < y.height; ++row)
    for (int x = 0; x < y.width; ++x, out += 3)
      put_webp(y.row(row)[x], webp_chroma(u, y.width, x, row), webp_chroma(v, y.width, x, row), out);
}

}  // namespace assay
