// What portable kernels share: sums in lanes that compilers vectorise, activations. Internal linkage on purpose: see
// spec/operands.h.
#pragma once

#include <math.h>
#include <stddef.h>

#include "kernels/spec/activation.h"

namespace assay::kernels::cpu::portable {
namespace {

constexpr int kSumLanes = 16;

/// sum of a[i] * b[i].
[[maybe_unused]] float sum_of_products(const float* a, const float* b, int n) {
  float lanes[kSumLanes] = {};
  int i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes)
    for (int j = 0; j < kSumLanes; ++j) lanes[j] += a[i + j] * b[i + j];
  for (int j = 0; i < n; ++i, ++j) lanes[j] += a[i] * b[i];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

[[maybe_unused]] float sum_of(const float* a, int n) {
  float lanes[kSumLanes] = {};
  int i = 0;
  for (; i + kSumLanes <= n; i += kSumLanes)
    for (int j = 0; j < kSumLanes; ++j) lanes[j] += a[i + j];
  for (int j = 0; i < n; ++i, ++j) lanes[j] += a[i];
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

/// 1 / sqrt(mean of x^2 + eps).
[[maybe_unused]] float inverse_rms(const float* x, int n, float eps) {
  return 1 / sqrtf(sum_of_products(x, x, n) / float(n) + eps);
}

[[maybe_unused]] float activated(float x, Activation activation) {
  switch (activation) {
    case Activation::gelu_tanh: return 0.5F * x * (1 + tanhf(0.7978845608F * (x + 0.044715F * x * x * x)));
    case Activation::gelu_erf: return 0.5F * x * (1 + erff(x * 0.7071067812F));
    case Activation::silu: return x / (1 + expf(-x));
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::sigmoid: return 1 / (1 + expf(-x));
  }
  return x;
}

}  // namespace
}  // namespace assay::kernels::cpu::portable
