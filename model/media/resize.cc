#include "model/media/resize.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace assay {
namespace {

constexpr int kMaxSide = 1 << 20;
constexpr int kMostPrecision = 22;

/// The pixels that one output pixel is made of, and their weights in fixed point.
struct Window {
  int first = 0;
  std::vector<std::int16_t> weights;
};

struct Weights {
  std::vector<Window> windows;  ///< one an output pixel
  int precision = 0;            ///< bits behind the point
};

/// Keys' cubic with a = -0.5, as Pillow has it.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
  return 0.0;
}

/// x + 0.5 cut towards zero, as torch's code has it.
int cut(double x) { return int(x + 0.5); }  // NOLINT(bugprone-incorrect-roundings)

Weights make_weights(int in, int out) {
  const double scale = double(in) / double(out);
  const double support = 2.0 * std::max(scale, 1.0);
  const double inverse = scale >= 1.0 ? 1.0 / scale : 1.0;
  const int most = int(std::ceil(support)) * 2 + 1;
  std::vector<std::vector<double>> exact;
  Weights weights;
  exact.reserve(std::size_t(out));
  weights.windows.resize(std::size_t(out));
  double largest = 0;
  for (int i = 0; i < out; ++i) {
    const double center = scale * (double(i) + 0.5);
    const int first = std::max(cut(center - support), 0);
    const int count = std::clamp(std::min(cut(center + support), in) - first, 0, most);
    std::vector<double> row(static_cast<std::size_t>(count));
    double total = 0;
    for (int j = 0; j < count; ++j)
      total += row[std::size_t(j)] = cubic((double(j) + (double(first) - center) + 0.5) * inverse);
    for (double& weight : row) {
      if (total != 0) weight /= total;
      largest = std::max(largest, weight);
    }
    weights.windows[std::size_t(i)].first = first;
    exact.push_back(std::move(row));
  }
  while (weights.precision < kMostPrecision && cut(largest * double(1 << (weights.precision + 1))) < (1 << 15))
    ++weights.precision;
  for (std::size_t i = 0; i < exact.size(); ++i)
    for (const double weight : exact[i]) {
      const double scaled = weight * double(1 << weights.precision);
      weights.windows[i].weights.push_back(std::int16_t(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
  return weights;
}

/// One pixel of three channels; neighbours of the window lie `step` bytes apart.
void convolve(const Window& window, int precision, const std::uint8_t* in, std::size_t step, std::uint8_t* out) {
  int sums[3] = {1 << (precision - 1), 1 << (precision - 1), 1 << (precision - 1)};
  for (const std::int16_t weight : window.weights) {
    for (int channel = 0; channel < 3; ++channel) sums[channel] += weight * in[channel];
    in += step;
  }
  for (int channel = 0; channel < 3; ++channel)
    out[channel] = std::uint8_t(std::clamp(sums[channel] >> precision, 0, 255));
}

}  // namespace

Result<Image> resize_bicubic(const Image& image, int width, int height) {
  const auto valid = [](int side) { return side >= 1 && side <= kMaxSide; };
  const auto text = [](int w, int h) { return std::to_string(w) + " x " + std::to_string(h); };
  if (!valid(image.width) || !valid(image.height) ||
      image.rgb.size() != std::size_t(image.width) * std::size_t(image.height) * 3)
    return fail({Failure::bad_input, "resize", "from", "an RGB image", text(image.width, image.height)});
  if (!valid(width) || !valid(height))
    return fail({Failure::bad_input, "resize", "to", "sides of 1 to 2^20", text(width, height)});

  const std::size_t in_row = std::size_t(image.width) * 3;
  const std::size_t out_row = std::size_t(width) * 3;
  std::vector<std::uint8_t> across;  // [image.height, width, 3]
  if (width == image.width) {
    across = image.rgb;
  } else {
    const Weights weights = make_weights(image.width, width);
    across.resize(std::size_t(image.height) * out_row);
    for (std::size_t y = 0; y < std::size_t(image.height); ++y)
      for (std::size_t x = 0; x < std::size_t(width); ++x) {
        const Window& window = weights.windows[x];
        convolve(window, weights.precision, &image.rgb[y * in_row + std::size_t(window.first) * 3], 3,
                 &across[y * out_row + 3 * x]);
      }
  }
  Image out{width, height, {}};
  if (height == image.height) {
    out.rgb = std::move(across);
    return out;
  }
  const Weights weights = make_weights(image.height, height);
  out.rgb.resize(std::size_t(height) * out_row);
  for (std::size_t y = 0; y < std::size_t(height); ++y) {
    const Window& window = weights.windows[y];
    for (std::size_t x = 0; x < std::size_t(width); ++x)
      convolve(window, weights.precision, &across[std::size_t(window.first) * out_row + 3 * x], out_row,
               &out.rgb[y * out_row + 3 * x]);
  }
  return out;
}

}  // namespace assay
