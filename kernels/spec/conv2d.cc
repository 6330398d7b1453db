#include "kernels/spec/conv2d.h"

#include <cmath>
#include <limits>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int frames = s[0], bins = s[1], channels = s[2], out_channels = s[3];
  const bool masked = s[4] != 0;
  const int out_frames = (frames + 1) / 2, out_bins = (bins + 1) / 2;
  std::vector<float> x = random_floats(std::size_t(frames) * std::size_t(bins) * std::size_t(channels), 2, seed);
  const std::vector<float> w = random_floats(9 * std::size_t(channels) * std::size_t(out_channels), 1, seed + 1);
  std::vector<std::uint8_t> real;
  real.reserve(std::size_t(frames));
  for (int t = 0; t < frames; ++t) real.push_back(masked && t % 5 == 4 ? 0 : std::uint8_t(1 + t % 255));
  const std::size_t frame_values = std::size_t(bins) * std::size_t(channels);
  for (std::size_t i = 0; i < x.size(); ++i)  // what is masked must not even be multiplied
    if (real[i / frame_values] == 0) x[i] = std::numeric_limits<float>::infinity();
  const auto input = guarded(x), weights = guarded(w), mask = guarded(real);
  std::vector<Values> outputs{{.count = std::size_t(out_frames) * std::size_t(out_bins) * std::size_t(out_channels),
                               .row_values = out_bins * out_channels}};
  return std::make_unique<ValueTrial>(
      out_frames, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::conv2d>(kernel)({.x = input->as<float>(),
                                        .real = masked ? mask->as<std::uint8_t>() : nullptr,
                                        .w = weights->as<float>(),
                                        .y = out[0],
                                        .frames = frames,
                                        .bins = bins,
                                        .channels = channels,
                                        .out = out_channels},
                                       first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        // All of a small problem, of a large one every so many-th value.
        const std::size_t step = std::max<std::size_t>(1, out[0].count / 100000);
        for (std::size_t i = 0; i < out[0].count; i += step) {
          const int o = int(i % std::size_t(out_channels)), f = int(i / std::size_t(out_channels)) % out_bins;
          const int t = int(i / std::size_t(out_channels) / std::size_t(out_bins));
          double sum = 0, partial = 0, squares = 0;
          for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b)
              for (int c = 0; c < channels; ++c) {
                const int frame = 2 * t + a - 1, bin = 2 * f + b - 1;
                if (frame < 0 || frame >= frames || bin < 0 || bin >= bins || real[std::size_t(frame)] == 0) continue;
                const double product = double{w[std::size_t(((a * 3 + b) * channels + c) * out_channels + o)]} *
                                       x[std::size_t(frame) * frame_values + std::size_t(bin * channels + c)];
                sum += product;
                squares += product * product;
                partial = std::fmax(partial, std::fabs(sum));
                if (std::fabs(product) > std::fabs(lost.delta)) lost = {.index = i, .delta = product};
              }
          out[0].exact[i] = sum;
          out[0].atol[i] = dot_fp32(9 * channels, std::fmax(partial, 2 * std::sqrt(squares))).atol;
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::conv2d) {
  static const OpInfo info{
      .op = Op::conv2d,
      .name = "conv2d",
      .what = "3 x 3 convolution of stride 2",
      .dims = {"frames", "bins", "channels", "out", "masked"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const int out : {1, 3, 4, 8, 15, 16, 17, 32, 33, 128})
              for (const int frames : {1, 2, 7, 20}) {
                shapes.push_back({frames, std::array{8, 1, 5, 16, 9}[std::size_t(turn % 5)],
                                  std::array{1, 8, 3, 17}[std::size_t(turn % 4)], out, turn % 2});
                ++turn;
              }
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const int out_frames = (s[0] + 1) / 2, out_bins = (s[1] + 1) / 2;
            const double in = double(s[0]) * s[1] * s[2], out = double(out_frames) * out_bins * s[3];
            return Cost{.bytes = 4 * (in + out + 9.0 * s[2] * s[3]) + s[0], .flops = 18.0 * s[2] * out};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 4); },
  };
  return info;
}

}  // namespace assay::kernels
