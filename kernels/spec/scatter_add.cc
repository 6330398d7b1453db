#include "kernels/spec/scatter_add.h"

#include <cmath>

#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int tokens = s[0], used = s[1], cols = s[2];
  const std::size_t choices = std::size_t(tokens) * std::size_t(used);
  const std::vector<float> x = random_floats(choices * std::size_t(cols), 3, seed);
  const std::vector<float> weights = random_floats(choices, 2, seed + 1);
  std::vector<std::int32_t> rows(choices, 0);
  for (std::size_t i = 0; i < choices; ++i)  // each row once, the whole turned round; some are left out
    rows[i] = i % 5 == 4 ? -1 : std::int32_t(choices - 1 - i);
  const auto input = guarded(x), of = guarded(rows), by = guarded(weights);
  std::vector<Values> outputs{{.count = std::size_t(tokens) * std::size_t(cols), .row_values = cols}};
  return std::make_unique<ValueTrial>(
      tokens, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::scatter_add>(kernel)({.x = input->as<float>(),
                                             .rows = of->as<std::int32_t>(),
                                             .weights = by->as<float>(),
                                             .y = out[0],
                                             .used = used,
                                             .cols = cols},
                                            first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        for (std::size_t i = 0; i < out[0].count; ++i) {
          const std::size_t t = i / std::size_t(cols), c = i % std::size_t(cols);
          double sum = 0, partial = 0;
          for (std::size_t j = t * std::size_t(used); j < (t + 1) * std::size_t(used); ++j) {
            if (rows[j] < 0) continue;
            const double product = double{weights[j]} * x[std::size_t(rows[j]) * std::size_t(cols) + c];
            sum += product;
            partial = std::fmax(partial, std::fmax(std::fabs(sum), std::fabs(product)));
            if (std::fabs(product) > std::fabs(lost.delta)) lost = {.index = i, .delta = product};
          }
          out[0].exact[i] = sum;
          out[0].atol[i] = dot_fp32(used, partial).atol;
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::scatter_add) {
  static const OpInfo info{
      .op = Op::scatter_add,
      .name = "scatter_add",
      .what = "experts' outputs, weighted, to their tokens",
      .dims = {"tokens", "used", "cols"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const Shape& s : awkward_rows()) shapes.push_back({s[0], 1 + turn++ % 8, s[1]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[2];
            return Cost{.bytes = 4 * values * (s[1] + 1) + 8.0 * s[0] * s[1], .flops = 2 * values * s[1]};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 3); },
  };
  return info;
}

}  // namespace assay::kernels
