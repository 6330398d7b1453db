// The non-linear functions of feed-forwards and gates. Not here: ops that apply them (activate.h, gated.h).
//   gelu_tanh  0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
//   gelu_erf   0.5 x (1 + erf(x / sqrt(2)))
//   silu       x / (1 + exp(-x))
//   relu       max(x, 0)
//   sigmoid    1 / (1 + exp(-x))
// Source: transformers.activations.ACT2FN (gelu_pytorch_tanh, gelu, silu, relu), torch.sigmoid.
#pragma once

#include <cstdint>

namespace assay::kernels {

enum class Activation : std::uint8_t { gelu_tanh, gelu_erf, silu, relu, sigmoid };
constexpr int kActivations = 5;

}  // namespace assay::kernels
