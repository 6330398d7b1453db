#include "kernels/spec/standardize.h"

#include <cstring>

#include "kernels/spec/exact_trial.h"
#include "kernels/spec/value_trial.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const bool shifted = s[2] == 0;
  const std::vector<float> x = random_floats(std::size_t(rows) * std::size_t(cols), 3, seed);
  const std::vector<float> b = random_floats(std::size_t(cols), 2, seed + 1);
  const std::vector<float> w = random_floats(std::size_t(cols), 2, seed + 2);
  ExactOutput output{.row_bytes = std::size_t(cols) * 4, .expected = std::vector<std::byte>(x.size() * 4)};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t c = i % std::size_t(cols);
    const float centred = shifted ? x[i] - b[c] : x[i];
    const float value = centred * w[c];
    std::memcpy(output.expected.data() + 4 * i, &value, 4);
  }
  const auto input = guarded(x), bias = guarded(b), scale = guarded(w);
  return std::make_unique<ExactTrial>(rows, 4, std::vector<ExactOutput>{std::move(output)},
                                      [=](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
                                        function<spec::standardize>(kernel)(
                                            input->as<float>(), shifted ? bias->as<float>() : nullptr,
                                            scale->as<float>(), cols, reinterpret_cast<float*>(out[0]), first, last);
                                      });
}

}  // namespace

const OpInfo& info_of(spec::standardize) {
  static const OpInfo info{
      .op = Op::standardize,
      .name = "standardize",
      .what = "shifts and scales columns",
      .dims = {"rows", "cols", "no_bias"},
      .awkward = [](Format, Acts) { return awkward_rows(); },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values + 8.0 * s[1], .flops = 2 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 2); },
  };
  return info;
}

}  // namespace assay::kernels
