#include "kernels/spec/layer_norm.h"

#include <cmath>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kEps = 1e-5F;

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const bool in_place = s[2] != 0, biased = (rows + cols) % 3 != 0;
  std::vector<float> x = random_floats(std::size_t(rows) * std::size_t(cols), 3, seed);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += float(i / std::size_t(cols) % 4);  // means away from 0
  const std::vector<float> w = random_floats(std::size_t(cols), 2, seed + 1);
  const std::vector<float> b = random_floats(std::size_t(cols), 1, seed + 2);
  const auto input = guarded(x), weight = guarded(w), bias = guarded(b);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::layer_norm>(kernel)(in_place ? out[0] : input->as<float>(), weight->as<float>(),
                                           biased ? bias->as<float>() : nullptr, kEps, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (int r = 0; r < rows; ++r) {
          const float* row = x.data() + std::size_t(r) * std::size_t(cols);
          double sum = 0, magnitude = 0, squares = 0;
          for (int c = 0; c < cols; ++c) sum += row[c], magnitude = std::fmax(magnitude, std::fabs(sum));
          const double mean = sum / cols;
          for (int c = 0; c < cols; ++c) squares += (row[c] - mean) * (row[c] - mean);
          const double scale = 1 / std::sqrt(squares / cols + double{kEps});
          const double mean_error = dot_fp32(cols, magnitude).atol / cols + rounded(2, std::fabs(mean)).atol;
          for (int c = 0; c < cols; ++c) {
            const std::size_t i = std::size_t(r) * std::size_t(cols) + std::size_t(c);
            const double weighted = (row[c] - mean) * scale * w[std::size_t(c)];
            const double shift = biased ? b[std::size_t(c)] : 0;
            out[0].exact[i] = weighted + shift;
            // The mean's error moves each value alike, and the variance by its square only.
            out[0].atol[i] = norm_fp32(cols, weighted).atol + rounded(1, std::fabs(weighted) + std::fabs(shift)).atol +
                             (mean_error + rounded(1, row[c]).atol) * scale * std::fabs(w[std::size_t(c)]) * 1.01;
          }
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::layer_norm) {
  static const OpInfo info{
      .op = Op::layer_norm,
      .name = "layer_norm",
      .what = "LayerNorm of rows",
      .dims = {"rows", "cols", "in_place"},
      // One column is 0 / sqrt(eps), which tells nothing.
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes = awkward_rows();
            std::erase_if(shapes, [](const Shape& s) { return s[1] == 1; });
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values + 8.0 * s[1], .flops = 8 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
