// Activations, what gates with them and the softcap, on registers of any width (lanes.h). GELU's erf form, which no
// published Gemma 4 uses, goes through the C library value by value. Internal linkage.
#pragma once

#include <math.h>

#include "kernels/spec/activation.h"
#include "kernels/spec/gated.h"
#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

template <Activation kActivation>
inline Lanes activated(Lanes x) {
  if constexpr (kActivation == Activation::gelu_tanh) {
    // 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), without its cancellation; -2 u = x (a + b x^2)
    const Lanes u = multiply(x, fused(multiply(x, x), all(-0.0713548162726F), all(-1.59576912160573F)));
    return divide(x, add(all(1), exponential(u)));
  } else if constexpr (kActivation == Activation::silu) {
    return divide(x, add(all(1), exponential(subtract(zero(), x))));
  } else if constexpr (kActivation == Activation::sigmoid) {
    return divide(all(1), add(all(1), exponential(subtract(zero(), x))));
  } else if constexpr (kActivation == Activation::relu) {
    return larger(x, zero());
  } else {
    float values[kWidth];
    store(values, x);
    for (float& v : values) v = 0.5F * v * (1 + erff(v * 0.7071067812F));
    return load(values);
  }
}

/// Calls with each activation as a constant.
template <class Use>
inline void with(Activation activation, Use use) {
  switch (activation) {
    case Activation::gelu_tanh: return use.template operator()<Activation::gelu_tanh>();
    case Activation::gelu_erf: return use.template operator()<Activation::gelu_erf>();
    case Activation::silu: return use.template operator()<Activation::silu>();
    case Activation::relu: return use.template operator()<Activation::relu>();
    case Activation::sigmoid: return use.template operator()<Activation::sigmoid>();
  }
}

inline void activate(const float* x, Activation activation, int cols, float* y, int first, int last) {
  with(activation, [&]<Activation kActivation>() {
    for (int r = first; r < last; ++r) {
      const size_t at = size_t(r) * size_t(cols);
      each_register(cols, [&](int c, int count) {
        store_some(y + at + c, activated<kActivation>(load_some(x + at + c, count)), count);
      });
    }
  });
}

inline void gate(const Gated& gated, int first, int last) {
  with(gated.activation, [&]<Activation kActivation>() {
    for (int r = first; r < last; ++r) {
      const float* gate = gated.gate + size_t(r) * size_t(gated.gate_stride);
      const float* up = gated.up + size_t(r) * size_t(gated.up_stride);
      float* y = gated.y + size_t(r) * size_t(gated.y_stride);
      each_register(gated.cols, [&](int c, int count) {
        const Lanes opened = activated<kActivation>(load_some(gate + c, count));
        store_some(y + c, multiply(opened, load_some(up + c, count)), count);
      });
    }
  });
}

inline void softcap(const float* x, float cap, int cols, float* y, int first, int last) {
  const Lanes bound = all(cap);
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    each_register(cols, [&](int c, int count) {
      store_some(y + at + c, multiply(tangent(divide(load_some(x + at + c, count), bound)), bound), count);
    });
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
