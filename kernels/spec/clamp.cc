#include "kernels/spec/clamp.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/spec/value_trial.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const bool in_place = s[2] != 0;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float low = cols % 3 == 2 ? -kInfinity : -2.5F, high = cols % 3 == 1 ? kInfinity : 1.25F;
  std::vector<float> x = random_floats(std::size_t(rows) * std::size_t(cols), 5, seed);
  x[0] = 0.7F;                                                                   // inside the bounds in every shape
  for (std::size_t i = 3; i < x.size(); i += 9) x[i] = i % 2 == 0 ? low : high;  // infinite values among them
  const auto input = guarded(x);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::clamp>(kernel)(in_place ? out[0] : input->as<float>(), low, high, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          out[0].exact[i] = std::clamp(x[i], low, high);
          out[0].atol[i] = std::numeric_limits<double>::min();  // exact: less than any difference of two floats
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::clamp) {
  static const OpInfo info{
      .op = Op::clamp,
      .name = "clamp",
      .what = "values between two bounds",
      .dims = {"rows", "cols", "in_place"},
      .awkward = [](Format, Acts) { return awkward_rows(); },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values, .flops = 2 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
