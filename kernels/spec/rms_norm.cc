#include "kernels/spec/rms_norm.h"

#include <cmath>

#include "kernels/spec/matrix_trial.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kEps = 1e-6F;

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const bool in_place = s[2] != 0, weighted = (rows + cols) % 3 != 0;
  const std::vector<float> x = random_activations(rows, cols, seed);
  const std::vector<float> w = random_floats(std::size_t(cols), 2, seed + 1);
  const auto input = guarded(x), weight = guarded(w);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::rms_norm>(kernel)(in_place ? out[0] : input->as<float>(),
                                         weighted ? weight->as<float>() : nullptr, kEps, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        for (int r = 0; r < rows; ++r) {
          const float* row = x.data() + std::size_t(r) * std::size_t(cols);
          double squares = 0, largest = 0;
          for (int c = 0; c < cols; ++c) {
            squares += double{row[c]} * row[c];
            largest = std::fmax(largest, double{row[c]} * row[c]);
          }
          const double scale = 1 / std::sqrt(squares / cols + double{kEps});
          for (int c = 0; c < cols; ++c) {
            const std::size_t i = std::size_t(r) * std::size_t(cols) + std::size_t(c);
            const double value = row[c] * scale * (weighted ? w[std::size_t(c)] : 1);
            out[0].exact[i] = value;
            out[0].atol[i] = norm_fp32(cols, value).atol;
            if (std::fabs(value) <= std::fabs(lost.delta)) continue;
            // The row's largest square left out: what an off-by-one at its end would do to a row of equals.
            const double without = 1 / std::sqrt((squares - largest) / cols + double{kEps});
            lost = {.index = i, .delta = value * (1 - without / scale)};
          }
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::rms_norm) {
  static const OpInfo info{
      .op = Op::rms_norm,
      .name = "rms_norm",
      .what = "root-mean-square norm of rows",
      .dims = {"rows", "cols", "in_place"},
      .awkward = [](Format, Acts) { return awkward_rows(); },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values + 4.0 * s[1], .flops = 4 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
