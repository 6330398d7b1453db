// Norms of rows on registers of any width (lanes.h). A row is read twice, the second time from the cache. Internal
// linkage.
#pragma once

#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

/// The sum over a row of term(c, count) in four registers, so that additions do not wait for one another.
template <class Term>
inline float row_sum(int cols, Term term) {
  Lanes sums[4] = {zero(), zero(), zero(), zero()};
  int c = 0;
  for (; c + 4 * kWidth <= cols; c += 4 * kWidth) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums[i] = add(sums[i], term(c + i * kWidth, 0));
  }
  for (int i = 0; c < cols; ++i, c += kWidth)
    sums[i] = add(sums[i], cols - c < kWidth ? term(c, cols - c) : term(c, 0));
  return sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

/// 1 / sqrt(mean of squares + eps), correctly rounded steps.
inline float inverse_root(float squares, int cols, float eps) {
  return 1 / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(squares / float(cols) + eps)));
}

inline float inverse_rms(const float* x, int cols, float eps) {
  const float squares = row_sum(cols, [x](int c, int count) {
    const Lanes v = load_some(x + c, count);
    return multiply(v, v);
  });
  return inverse_root(squares, cols, eps);
}

inline void rms_norm(const float* x, const float* weight, float eps, int cols, float* y, int first, int last) {
  for (int r = first; r < last; ++r) {
    const float* in = x + size_t(r) * size_t(cols);
    float* out = y + size_t(r) * size_t(cols);
    const Lanes scale = all(inverse_rms(in, cols, eps));
    each_register(cols, [&](int c, int count) {
      Lanes v = multiply(load_some(in + c, count), scale);
      if (weight != nullptr) v = multiply(v, load_some(weight + c, count));
      store_some(out + c, v, count);
    });
  }
}

inline void norm_add(const float* x, const float* weight, float eps, const float* residual, float scalar, int cols,
                     float* y, int first, int last) {
  const Lanes times = all(scalar);
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    const Lanes scale = all(inverse_rms(x + at, cols, eps));
    each_register(cols, [&](int c, int count) {
      Lanes v = multiply(load_some(x + at + c, count), scale);
      if (weight != nullptr) v = multiply(v, load_some(weight + c, count));
      store_some(y + at + c, multiply(add(load_some(residual + at + c, count), v), times), count);
    });
  }
}

inline void ple_mix(const float* x, float prescale, const float* weight, float eps, const float* token, float scale,
                    int cols, float* y, int first, int last) {
  const Lanes before = all(prescale), after = all(scale);
  for (int r = first; r < last; ++r) {
    const size_t at = size_t(r) * size_t(cols);
    const float squares = row_sum(cols, [&](int c, int count) {
      const Lanes v = multiply(load_some(x + at + c, count), before);
      return multiply(v, v);
    });
    const Lanes norm = all(inverse_root(squares, cols, eps));
    each_register(cols, [&](int c, int count) {
      const Lanes v = multiply(multiply(load_some(x + at + c, count), before), norm);
      const Lanes mixed = add(multiply(v, load_some(weight + c, count)), load_some(token + at + c, count));
      store_some(y + at + c, multiply(mixed, after), count);
    });
  }
}

inline void layer_norm(const float* x, const float* weight, const float* bias, float eps, int cols, float* y, int first,
                       int last) {
  for (int r = first; r < last; ++r) {
    const float* in = x + size_t(r) * size_t(cols);
    float* out = y + size_t(r) * size_t(cols);
    const float mean = row_sum(cols, [in](int c, int count) { return load_some(in + c, count); }) / float(cols);
    const Lanes middle = all(mean);
    const float squares = row_sum(cols, [in, mean](int c, int count) {
      // Lanes behind the row's end hold the mean, not 0: they add nothing.
      const Lanes v = subtract(load_else(in + c, count, mean), all(mean));
      return multiply(v, v);
    });
    const Lanes scale = all(inverse_root(squares, cols, eps));
    each_register(cols, [&](int c, int count) {
      Lanes v = multiply(multiply(subtract(load_some(in + c, count), middle), scale), load_some(weight + c, count));
      if (bias != nullptr) v = add(v, load_some(bias + c, count));
      store_some(out + c, v, count);
    });
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
