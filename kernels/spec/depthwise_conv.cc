#include "kernels/spec/depthwise_conv.h"

#include <cmath>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int frames = s[0], cols = s[1], size = s[2];
  const std::vector<float> x = random_floats(std::size_t(frames) * std::size_t(cols), 2, seed);
  const std::vector<float> w = random_floats(std::size_t(size) * std::size_t(cols), 1, seed + 1);
  const auto input = guarded(x), weights = guarded(w);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  return std::make_unique<ValueTrial>(
      frames, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::depthwise_conv>(kernel)(input->as<float>(), weights->as<float>(), size, cols, out[0], first,
                                               last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        for (std::size_t i = 0; i < out[0].count; ++i) {
          const int t = int(i / std::size_t(cols)), c = int(i % std::size_t(cols));
          double sum = 0, partial = 0, squares = 0;
          for (int k = 0; k < size; ++k) {
            const int frame = t - (size - 1) + k;
            if (frame < 0) continue;
            const double product =
                double{w[std::size_t(k * cols + c)]} * x[std::size_t(frame) * std::size_t(cols) + std::size_t(c)];
            sum += product;
            squares += product * product;
            partial = std::fmax(partial, std::fabs(sum));
            if (std::fabs(product) > std::fabs(lost.delta)) lost = {.index = i, .delta = product};
          }
          out[0].exact[i] = sum;
          out[0].atol[i] = dot_fp32(size, std::fmax(partial, 2 * std::sqrt(squares))).atol;
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::depthwise_conv) {
  static const OpInfo info{
      .op = Op::depthwise_conv,
      .name = "depthwise_conv",
      .what = "causal convolution of each column",
      .dims = {"frames", "cols", "size"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const Shape& s : awkward_rows())
              shapes.push_back({s[0], s[1], std::array{5, 1, 2, 8}[std::size_t(turn++ % 4)]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values + 4.0 * s[1] * s[2], .flops = 2 * values * s[2]};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 3); },
  };
  return info;
}

}  // namespace assay::kernels
