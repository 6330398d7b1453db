#include "kernels/spec/pool.h"

#include <cmath>

#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kScale = 3.0792014F;  // sqrt(768) / 9

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1], each = s[2];
  const std::size_t count = std::size_t(rows) * std::size_t(each);
  const std::vector<float> x = random_floats(count * std::size_t(cols), 3, seed);
  std::vector<std::int32_t> begin{0}, patches;
  for (int r = 0; r < rows; ++r) {  // now and then a cell that is not full, or empty; not the first
    const int filled = r % 5 == 3 ? each / 2 : r % 5 == 4 ? 0 : each;
    for (int i = 0; i < filled; ++i)
      patches.push_back(std::int32_t(random_bits(seed + 1, patches.size()) % std::uint64_t(count)));
    begin.push_back(std::int32_t(patches.size()));
  }
  const auto input = guarded(x), from = guarded(begin), which = guarded(patches);
  std::vector<Values> outputs{{.count = std::size_t(rows) * std::size_t(cols), .row_values = cols}};
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::pool>(kernel)({.x = input->as<float>(),
                                      .begin = from->as<std::int32_t>(),
                                      .patches = which->as<std::int32_t>(),
                                      .y = out[0],
                                      .cols = cols,
                                      .scale = kScale},
                                     first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        for (std::size_t i = 0; i < out[0].count; ++i) {
          const std::size_t r = i / std::size_t(cols), c = i % std::size_t(cols);
          double sum = 0, partial = 0;
          for (auto p = std::size_t(begin[r]); p < std::size_t(begin[r + 1]); ++p) {
            const double value = x[std::size_t(patches[p]) * std::size_t(cols) + c];
            sum += value;
            partial = std::fmax(partial, std::fabs(sum));
            if (std::fabs(value * kScale) > std::fabs(lost.delta)) lost = {.index = i, .delta = value * kScale};
          }
          out[0].exact[i] = sum * kScale;
          out[0].atol[i] = dot_fp32(each + 1, partial * kScale).atol;
        }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::pool) {
  static const OpInfo info{
      .op = Op::pool,
      .name = "pool",
      .what = "sums of patches by cell, scaled",
      .dims = {"rows", "cols", "each"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const Shape& s : awkward_rows())
              shapes.push_back({s[0], s[1], std::array{9, 1, 4, 16}[std::size_t(turn++ % 4)]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 4 * values * (s[2] + 1) + 4.0 * s[0] * (s[2] + 1), .flops = values * (s[2] + 1)};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 3); },
  };
  return info;
}

}  // namespace assay::kernels
