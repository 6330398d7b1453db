#include "reference/ops/activation.h"

#include <cmath>
#include <numbers>

namespace assay::reference {
namespace {

double value(double x, Activation activation) {
  switch (activation) {
    case Activation::gelu_tanh: {
      const double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      return 0.5 * x * (1 + std::tanh(inner));
    }
    case Activation::gelu_erf: return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::relu: return x > 0 ? x : 0;
  }
  return x;
}

}  // namespace

void activate(std::span<float> x, Activation activation) {
  for (float& v : x) v = float(value(v, activation));
}

}  // namespace assay::reference
