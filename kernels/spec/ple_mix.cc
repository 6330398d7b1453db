#include "kernels/spec/ple_mix.h"

#include <cmath>

#include "kernels/spec/matrix_trial.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kEps = 1e-6F, kPrescale = 0.025515518F, kScale = 0.70710677F;  // 1536^-0.5, 2^-0.5

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1], in_place = s[2];
  const std::vector<float> x = random_activations(rows, cols, seed), token = random_activations(rows, cols, seed + 1);
  const std::vector<float> w = random_floats(std::size_t(cols), 2, seed + 2);
  const auto input = guarded(x), weight = guarded(w), tokens = guarded(token);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place == 1) outputs[0].before = x;
  if (in_place == 2) outputs[0].before = token;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::ple_mix>(kernel)(in_place == 1 ? out[0] : input->as<float>(), kPrescale, weight->as<float>(),
                                        kEps, in_place == 2 ? out[0] : tokens->as<float>(), kScale, cols, out[0], first,
                                        last);
      },
      [=](std::span<Values> out) {
        for (int r = 0; r < rows; ++r) {
          const std::size_t at = std::size_t(r) * std::size_t(cols);
          double squares = 0;
          for (int c = 0; c < cols; ++c) {
            const double v = double{x[at + std::size_t(c)]} * kPrescale;
            squares += v * v;
          }
          const double scale = 1 / std::sqrt(squares / cols + double{kEps});
          for (int c = 0; c < cols; ++c) {
            const std::size_t i = at + std::size_t(c);
            const double normed = double{x[i]} * kPrescale * scale * w[std::size_t(c)];
            out[0].exact[i] = (normed + token[i]) * kScale;
            out[0].atol[i] = norm_fp32(cols, normed).atol +
                             rounded(3, std::fabs(normed) + std::fabs(token[i])).atol;  // 3: x is scaled, too
          }
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::ple_mix) {
  static const OpInfo info{
      .op = Op::ple_mix,
      .name = "ple_mix",
      .what = "per-layer inputs: normed projection and table row, mixed",
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
            return Cost{.bytes = 12 * values + 4.0 * s[1], .flops = 7 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
