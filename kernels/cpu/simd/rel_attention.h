// The audio tower's attention on registers of any width (lanes.h): kWidth products of a query with keys at a time,
// summed across lanes together. Internal linkage.
#pragma once

#include "kernels/spec/rel_attention.h"
#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

/// out[i] = q . rows[i] for `count` rows, whole registers of them written.
inline void products(const float* q, const float* const* rows, int count, int d, float* out) {
  for (int first_row = 0; first_row < count; first_row += kWidth) {
    Lanes pairs[kWidth];
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r) pairs[r] = zero();
    each_register(d, [&](int i, int some) {
      const Lanes of_query = load_some(q + i, some);
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) pairs[r] = fused(of_query, load_some(rows[first_row + r] + i, some), pairs[r]);
    });
    store(out + first_row, sums(pairs));
  }
}

struct RelWork {
  alignas(64) float scores[kRelAttentionMaxContext + kWidth], bias[kRelAttentionMaxContext + kWidth];
  alignas(64) float earlier[kRelAttentionMaxContext + kWidth];  ///< the query before's products with `relative`
  const float* rows[kRelAttentionMaxContext + kWidth];
};

/// Products of frame t's query with the relative keys.
inline void with_positions(const RelAttention& a, int t, size_t lane, const float** rows, float* out) {
  const size_t row = size_t(a.heads) * size_t(a.head_dim);
  const int padded = (a.positions + kWidth - 1) / kWidth * kWidth;
  for (int p = 0; p < padded; ++p) rows[p] = a.relative + size_t(p < a.positions ? p : a.positions - 1) * row + lane;
  products(a.q + size_t(t) * row + lane, rows, a.positions, a.head_dim, out);
}

inline void attend(const RelAttention& a, int t, int head, RelWork& w) {
  const int context = a.chunk + a.past + a.future, begin = t / a.chunk * a.chunk, i = t - begin, d = a.head_dim;
  const int padded = (context + kWidth - 1) / kWidth * kWidth, from = begin - a.past;
  const size_t row = size_t(a.heads) * size_t(d), lane = size_t(head) * size_t(d);
  const float* q = a.q + size_t(t) * row + lane;

  with_positions(a, t, lane, w.rows, w.bias);
  // Behind the shift, keys before the query's own column belong to the query before, from column context + 1 - i on.
  if (i > 0 && context + 1 - i < a.positions) with_positions(a, t - 1, lane, w.rows, w.earlier);
  for (int j = 0; j < padded; ++j) {
    const int frame = from + j < 0 ? 0 : from + j < a.frames ? from + j : a.frames - 1;
    w.rows[j] = a.k + size_t(frame) * row + lane;
  }
  products(q, w.rows, context, d, w.scores);
  for (int j = 0; j < context; ++j) {
    const int position = j >= i ? j - i : context + 1 - (i - j);
    if (position < a.positions) w.scores[j] += j >= i ? w.bias[position] : w.earlier[position];
  }
  const Lanes cap = all(a.cap);
  for (int j = 0; j < padded; j += kWidth) store(w.scores + j, multiply(tangent(divide(load(w.scores + j), cap)), cap));
  for (int j = 0; j < context; ++j) {
    const int frame = from + j, distance = t - frame;
    const bool near = distance >= 0 ? distance < a.past : -distance < a.future;
    if (frame < 0 || frame >= a.frames || !near || (a.real != nullptr && a.real[frame] == 0)) w.scores[j] = a.invalid;
  }
  for (int j = context; j < padded; ++j) w.scores[j] = -__builtin_inff();
  Lanes most = load(w.scores), total = zero();
  for (int j = kWidth; j < padded; j += kWidth) most = larger(most, load(w.scores + j));
  const Lanes top = all(largest(most));
  for (int j = 0; j < padded; j += kWidth) {
    const Lanes weights = exponential(subtract(load(w.scores + j), top));
    store(w.scores + j, weights);
    total = add(total, weights);
  }
  const Lanes inverse = all(1 / sum(total));
  const int low = from < 0 ? -from : 0, high = from + context <= a.frames ? context : a.frames - from;
  float* y = a.y + size_t(t) * row + lane;
  each_register(d, [&](int c, int some) {
    Lanes values = zero();
    const float* v = a.v + size_t(from + low) * row + lane + c;
    for (int j = low; j < high; ++j, v += row) values = fused(all(w.scores[j]), load_some(v, some), values);
    store_some(y + c, multiply(values, inverse), some);
  });
}

inline void rel_attend(const RelAttention& a, int first, int last) {
  RelWork work = {};
  for (int t = first; t < last; ++t)
    for (int head = 0; head < a.heads; ++head) attend(a, t, head, work);
}

}  // namespace
}  // namespace assay::kernels::cpu
