#include "kernels/spec/patch_positions.h"

#include <cstring>

#include "kernels/spec/exact_trial.h"
#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1], positions = s[2];
  const bool by_turns = s[3] != 0;
  const std::size_t width = std::size_t(cols), table_stride = by_turns ? 2 * width : width;
  const std::vector<float> x = random_floats(std::size_t(rows) * width, 3, seed);
  const std::vector<float> tables = random_floats(2 * std::size_t(positions) * width, 1, seed + 1);
  const std::size_t second = by_turns ? width : std::size_t(positions) * width;
  std::vector<std::int64_t> ids;
  ids.reserve(2 * std::size_t(rows));
  for (int i = 0; i < 2 * rows; ++i)
    ids.push_back(i % 7 == 5 ? -1 : std::int64_t(random_bits(seed + 2, std::uint64_t(i)) % std::uint64_t(positions)));
  ExactOutput output{.row_bytes = width * 4, .expected = std::vector<std::byte>(x.size() * 4)};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t r = i / width, c = i % width;
    const std::int64_t at_x = ids[2 * r], at_y = ids[2 * r + 1];
    const float by_x = at_x < 0 ? 0 : tables[std::size_t(at_x) * table_stride + c];
    const float by_y = at_y < 0 ? 0 : tables[second + std::size_t(at_y) * table_stride + c];
    const float sum = by_x + by_y, value = x[i] + sum;
    std::memcpy(output.expected.data() + 4 * i, &value, 4);
  }
  const auto input = guarded(x), table = guarded(tables), at = guarded(ids);
  return std::make_unique<ExactTrial>(rows, 4, std::vector<ExactOutput>{std::move(output)},
                                      [=](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
                                        function<spec::patch_positions>(kernel)({.x = input->as<float>(),
                                                                                 .ids = at->as<std::int64_t>(),
                                                                                 .by_x = table->as<float>(),
                                                                                 .by_y = table->as<float>() + second,
                                                                                 .y = reinterpret_cast<float*>(out[0]),
                                                                                 .cols = cols,
                                                                                 .table_stride = int(table_stride)},
                                                                                first, last);
                                      });
}

}  // namespace

const OpInfo& info_of(spec::patch_positions) {
  static const OpInfo info{
      .op = Op::patch_positions,
      .name = "patch_positions",
      .what = "adds the positions of image patches",
      .dims = {"rows", "cols", "positions", "by_turns"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            for (const Shape& s : awkward_rows()) shapes.push_back({s[0], s[1], 9, s[2]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 16 * values + 16.0 * s[0], .flops = 2 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 3); },
  };
  return info;
}

}  // namespace assay::kernels
