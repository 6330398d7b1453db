#include "kernels/spec/softcap.h"

#include <cmath>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kCap = 30;

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const bool in_place = s[2] != 0;
  std::vector<float> x = random_floats(std::size_t(rows) * std::size_t(cols), 60, seed);
  const float edges[] = {0, -0.0F, 1e4F, -1e4F, 1e-20F, 0.01F, -0.3F, 270, -270, 18};
  for (std::size_t i = 3; i < x.size(); i += 5) x[i] = edges[i / 5 % std::size(edges)];
  x[0] = 1.7F;  // an ordinary one in every shape
  const auto input = guarded(x);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::softcap>(kernel)(in_place ? out[0] : input->as<float>(), kCap, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          out[0].exact[i] = std::tanh(double{x[i]} / kCap) * kCap;
          out[0].atol[i] = function_fp32(out[0].exact[i], 0).atol;  // |u tanh'(u)| is at most |tanh(u)|
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::softcap) {
  static const OpInfo info{
      .op = Op::softcap,
      .name = "softcap",
      .what = "cap * tanh(x / cap)",
      .dims = {"rows", "cols", "in_place"},
      .awkward = [](Format, Acts) { return awkward_rows(); },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values, .flops = 16 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
