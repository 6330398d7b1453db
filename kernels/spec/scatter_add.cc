#include "kernels/spec/scatter_add.h"

#include <cmath>

#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int n = s[0], cols = s[1], x_stride = cols + n % 3, y_stride = cols + n % 2;
  const int tokens = n + n / 3;  // some are not named
  const std::vector<float> x = random_floats(std::size_t(n) * std::size_t(x_stride), 3, seed);
  const std::vector<float> weights = random_floats(std::size_t(n), 2, seed + 1);
  const std::vector<float> before = random_floats(std::size_t(tokens) * std::size_t(y_stride), 3, seed + 2);
  std::vector<std::int32_t> rows(std::size_t(n), 0);
  std::vector<int> row_of(before.size(), -1);
  for (int i = 0; i < n; ++i) {  // turned round, with holes
    rows[std::size_t(i)] = tokens - 1 - (i + i / 3);
    for (int c = 0; c < cols; ++c) row_of[std::size_t(rows[std::size_t(i)] * y_stride + c)] = i;
  }
  const auto input = guarded(x), of = guarded(rows), by = guarded(weights);
  std::vector<Values> outputs{{.count = before.size(), .before = before, .rows = row_of}};
  return std::make_unique<ValueTrial>(
      n, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::scatter_add>(kernel)({.x = input->as<float>(),
                                             .rows = of->as<std::int32_t>(),
                                             .weights = by->as<float>(),
                                             .y = out[0],
                                             .cols = cols,
                                             .x_stride = x_stride,
                                             .y_stride = y_stride},
                                            first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        for (std::size_t i = 0; i < out[0].count; ++i) {
          out[0].exact[i] = before[i];
          out[0].atol[i] = 0;
          if (row_of[i] < 0) continue;
          const std::size_t row = std::size_t(row_of[i]), c = i % std::size_t(y_stride);
          const double product = double{weights[row]} * x[row * std::size_t(x_stride) + c];
          out[0].exact[i] += product;
          out[0].atol[i] = dot_fp32(2, std::fmax(std::fabs(out[0].exact[i]), std::fabs(product))).atol;
          if (std::fabs(product) > std::fabs(lost.delta)) lost = {.index = i, .delta = product};
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::scatter_add) {
  static const OpInfo info{
      .op = Op::scatter_add,
      .name = "scatter_add",
      .what = "an expert's outputs, weighted, to their tokens",
      .dims = {"rows", "cols"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            for (const Shape& s : awkward_rows()) shapes.push_back({s[0], s[1]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 12 * values + 8.0 * s[0], .flops = 2 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
