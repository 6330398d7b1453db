#include "kernels/spec/add.h"

#include <cstring>

#include "kernels/spec/exact_trial.h"
#include "kernels/spec/value_trial.h"

namespace assay::kernels {
namespace {

constexpr float kScalar = 0.875F + 0x1p-20F;

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1], stride = s[2] == 0 ? cols : 0;
  const std::vector<float> a = random_floats(std::size_t(rows) * std::size_t(cols), 3, seed);
  const std::vector<float> b = random_floats(std::size_t(stride == 0 ? 1 : rows) * std::size_t(cols), 2, seed + 1);
  ExactOutput output{.row_bytes = std::size_t(cols) * 4, .expected = std::vector<std::byte>(a.size() * 4)};
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float sum = a[i] + b[i % b.size()];
    const float value = sum * kScalar;
    std::memcpy(output.expected.data() + 4 * i, &value, 4);
  }
  const auto left = guarded(a), right = guarded(b);
  return std::make_unique<ExactTrial>(rows, 4, std::vector<ExactOutput>{std::move(output)},
                                      [=](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
                                        function<spec::add>(kernel)(left->as<float>(), right->as<float>(), stride,
                                                                    kScalar, cols, reinterpret_cast<float*>(out[0]),
                                                                    first, last);
                                      });
}

}  // namespace

const OpInfo& info_of(spec::add) {
  static const OpInfo info{
      .op = Op::add,
      .name = "add",
      .what = "sums, of rows or with a bias",
      .dims = {"rows", "cols", "bias"},
      .awkward = [](Format, Acts) { return awkward_rows(); },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = s[2] == 0 ? 12 * values : 8 * values + 4.0 * s[1], .flops = 2 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
