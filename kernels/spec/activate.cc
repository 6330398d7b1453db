#include "kernels/spec/activate.h"

#include <cmath>
#include <numbers>

#include "kernels/spec/activation_answer.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {

double activation_exact(Activation activation, double x) {
  const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  switch (activation) {
    // x / (1 + exp(-2 inner)) is 0.5 x (1 + tanh(inner)) without its cancellation far below 0.
    case Activation::gelu_tanh: return x / (1 + std::exp(-2 * inner));
    case Activation::gelu_erf: return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::sigmoid: return 1 / (1 + std::exp(-x));
  }
  return x;
}

Tolerance activation_tolerance(Activation activation, double x) {
  const double value = std::fabs(activation_exact(activation, x));
  switch (activation) {
    // 0.5 x (1 + tanh): 1 + tanh errs by an ULP of 1 where tanh is near -1, and torch's does, too.
    case Activation::gelu_tanh:
    case Activation::gelu_erf: return {.atol = function_fp32(value, x).atol};
    // The exponential's argument is x itself: no rounding before it. It overflows for x < -88, and 0 is left of what is
    // exp(-88) < 2^-126 (times x) at most.
    case Activation::silu:
    case Activation::sigmoid: return {.atol = function_fp32(value, 0).atol + 0x1p-126 * std::fabs(x)};
    case Activation::relu: return exact();
  }
  return exact();
}

namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  const auto activation = Activation(s[2]);
  const bool in_place = s[3] != 0;
  std::vector<float> x = random_floats(std::size_t(rows) * std::size_t(cols), 8, seed);
  const float edges[] = {0, -0.0F, 90, -90, 200, -200, 1e-20F, -1e-4F, 3e4F, -3e4F, 13, -13, 17.5F};
  for (std::size_t i = 5; i < x.size(); i += 7) x[i] = edges[i / 7 % std::size(edges)];
  x[0] = 1.7F;  // an ordinary one in every shape
  const auto input = guarded(x);
  std::vector<Values> outputs{{.count = x.size(), .row_values = cols}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::activate>(kernel)(in_place ? out[0] : input->as<float>(), activation, cols, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (std::size_t i = 0; i < x.size(); ++i) {
          out[0].exact[i] = activation_exact(activation, x[i]);
          out[0].atol[i] = activation_tolerance(activation, x[i]).atol + 0x1p-126;
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::activate) {
  static const OpInfo info{
      .op = Op::activate,
      .name = "activate",
      .what = "an activation of every value",
      .dims = {"rows", "cols", "activation", "in_place"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            for (const Shape& s : awkward_rows())
              for (int a = 0; a < kActivations; ++a) shapes.push_back({s[0], s[1], a, s[2]});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 8 * values, .flops = 16 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (std::string wrong = invalid_fp32(format, acts, s, 2); !wrong.empty()) return wrong;
        return s[2] < 0 || s[2] >= kActivations ? "no such activation" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
