#include "kernels/spec/narrow.h"

#include <cmath>
#include <cstring>

#include "kernels/formats.h"
#include "kernels/op.h"
#include "kernels/spec/exact_trial.h"
#include "kernels/spec/random.h"

namespace assay::kernels {
namespace {

/// Blocks of every magnitude that fp32 has, ties of rounding, zeros of both signs, subnormals, a largest value twice.
std::vector<float> awkward_floats(int tokens, int cols, std::uint64_t seed) {
  std::vector<float> x(std::size_t(tokens) * std::size_t(cols));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint64_t block = i / kActsBlock, kind = random_bits(seed + 1, block) % 8;
    const float random = random_signed(seed, i);
    const int exponent = int(random_bits(seed + 2, block) % 250) - 149;
    switch (kind) {
      case 0: x[i] = i % 2 == 0 ? 0.0F : -0.0F; break;
      case 1: x[i] = float(int(random_bits(seed, i) % 255) - 127) / 2; break;  // halves: ties, absmax 63.5
      case 2: x[i] = random > 0 ? 3.0F : -3.0F; break;
      case 3: x[i] = random * 1e-40F; break;
      default: x[i] = std::ldexp(random, exponent); break;
    }
  }
  return x;
}

template <class T>
ExactOutput rows_of(const std::vector<T>& values, int rows) {
  ExactOutput output{.row_bytes = values.size() / std::size_t(rows) * sizeof(T),
                     .expected = std::vector<std::byte>(values.size() * sizeof(T))};
  std::memcpy(output.expected.data(), values.data(), output.expected.size());
  return output;
}

std::string invalid(Format format, Acts acts, const Shape& s) {
  if (format != Format::fp32 || acts == Acts::fp32) return "narrows fp32 to bf16 or int8";
  if (s[0] < 1 || s[1] < 1) return "a dimension below 1";
  if (acts == Acts::int8 && s[1] % kActsBlock != 0) return "columns are not a multiple of 32";
  return {};
}

std::unique_ptr<Trial> trial(Format /*format*/, Acts acts, const Shape& s, std::uint64_t seed) {
  const int tokens = s[0], cols = s[1];
  const std::vector<float> x = awkward_floats(tokens, cols, seed);
  auto input = std::make_shared<Guarded>(x.size() * 4, 4);
  std::memcpy(input->data(), x.data(), x.size() * 4);
  const OwnActivations own(acts, x, tokens, cols);
  std::vector<ExactOutput> outputs{rows_of(own.values, tokens)};
  if (acts == Acts::int8) {
    outputs.push_back(rows_of(own.scales, tokens));
    outputs.push_back(rows_of(own.sums, tokens));
  }
  return std::make_unique<ExactTrial>(
      tokens, acts == Acts::int8 ? 4 : 2, std::move(outputs),
      [input, cols](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
        const ActivationsOut to{out[0], out.size() > 1 ? reinterpret_cast<float*>(out[1]) : nullptr,
                                out.size() > 2 ? reinterpret_cast<std::int32_t*>(out[2]) : nullptr};
        function<spec::narrow>(kernel)(input->as<float>(), cols, to, first, last);
      });
}

}  // namespace

const OpInfo& info_of(spec::narrow) {
  static const OpInfo info{
      .op = Op::narrow,
      .name = "narrow",
      .what = "activations from fp32 to bf16 or int8",
      .dims = {"tokens", "cols"},
      .awkward =
          [](Format, Acts acts) {
            std::vector<Shape> shapes;
            for (const int cols : acts == Acts::int8 ? std::vector<int>{32, 64, 96, 480, 2080}
                                                     : std::vector<int>{1, 2, 7, 15, 16, 17, 31, 33, 65, 1000})
              for (const int tokens : {1, 2, 7, 70}) shapes.push_back({tokens, cols});
            return shapes;
          },
      .cost =
          [](Format, Acts acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = values * (acts == Acts::bf16 ? 6 : 5 + 4.0 / kActsBlock + 4.0 / 16),
                        .flops = 2 * values};
          },
      .trial = trial,
      .invalid = invalid,
  };
  return info;
}

}  // namespace assay::kernels
