#include "kernels/spec/norm_add.h"

#include <cmath>

#include "kernels/spec/matrix_trial.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kEps = 1e-6F, kScalar = 0.875F + 0x1p-20F;

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const int in_place = s[2];
  const bool weighted = (rows + cols) % 3 != 0;
  const std::vector<float> x = random_activations(rows, cols, seed);
  const std::vector<float> residual = random_activations(rows, cols, seed + 2);
  const std::vector<float> w = random_floats(std::size_t(cols), 2, seed + 1);
  const auto input = guarded(x), weight = guarded(w), rest = guarded(residual);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place == 1) outputs[0].before = residual;
  if (in_place == 2) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::norm_add>(kernel)(
            in_place == 2 ? out[0] : input->as<float>(), weighted ? weight->as<float>() : nullptr, kEps,
            in_place == 1 ? out[0] : rest->as<float>(), kScalar, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (int r = 0; r < rows; ++r) {
          const std::size_t at = std::size_t(r) * std::size_t(cols);
          double squares = 0;
          for (int c = 0; c < cols; ++c) squares += double{x[at + std::size_t(c)]} * x[at + std::size_t(c)];
          const double scale = 1 / std::sqrt(squares / cols + double{kEps});
          for (int c = 0; c < cols; ++c) {
            const std::size_t i = at + std::size_t(c);
            const double normed = x[i] * scale * (weighted ? w[std::size_t(c)] : 1);
            out[0].exact[i] = (residual[i] + normed) * kScalar;
            out[0].atol[i] = norm_fp32(cols, normed).atol + rounded(2, std::fabs(residual[i]) + std::fabs(normed)).atol;
          }
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::norm_add) {
  static const OpInfo info{
      .op = Op::norm_add,
      .name = "norm_add",
      .what = "residual plus norm, times a scalar",
      .dims = {"rows", "cols", "in_place"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes = awkward_rows();
            for (std::size_t i = 0; i < shapes.size(); ++i) shapes[i][2] = int(i % 3);
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 12 * values + 4.0 * s[1], .flops = 6 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
