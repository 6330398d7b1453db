#include "kernels/spec/rel_attention.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {
namespace {

/// The capped scores of one query head, `invalid` where it may not look.
void scores_of(const RelAttention& a, int t, int head, float* scores) {
  const int context = a.chunk + a.past + a.future, begin = t / a.chunk * a.chunk, i = t - begin;
  const size_t row = size_t(a.heads) * size_t(a.head_dim), lane = size_t(head) * size_t(a.head_dim);
  const auto of = [&](const float* rows, int r) { return rows + size_t(r) * row + lane; };
  for (int j = 0; j < context; ++j) {
    const int frame = begin - a.past + j, distance = t - frame;
    const bool near = distance >= 0 ? distance < a.past : -distance < a.future;
    if (frame < 0 || frame >= a.frames || !near || (a.real != nullptr && a.real[frame] == 0)) {
      scores[j] = a.invalid;
      continue;
    }
    const int n = i * context + j, from = begin + n / (context + 1), position = n % (context + 1);
    float score = sum_of_products(of(a.q, t), of(a.k, frame), a.head_dim);
    if (position < a.positions && from < a.frames)
      score += sum_of_products(of(a.q, from), of(a.relative, position), a.head_dim);
    scores[j] = tanhf(score / a.cap) * a.cap;
  }
}

}  // namespace

void rel_attention_fp32_fp32(const RelAttention& a, int first, int last) {
  const int context = a.chunk + a.past + a.future;
  const size_t row = size_t(a.heads) * size_t(a.head_dim);
  for (int t = first; t < last; ++t)
    for (int h = 0; h < a.heads; ++h) {
      float scores[kRelAttentionMaxContext];
      scores_of(a, t, h, scores);
      float largest = scores[0];
      for (int j = 1; j < context; ++j) largest = scores[j] > largest ? scores[j] : largest;
      for (int j = 0; j < context; ++j) scores[j] = expf(scores[j] - largest);
      const float sum = sum_of(scores, context);
      float* y = a.y + size_t(t) * row + size_t(h) * size_t(a.head_dim);
      for (int c = 0; c < a.head_dim; ++c) y[c] = 0;
      for (int j = 0; j < context; ++j) {
        const int frame = t / a.chunk * a.chunk - a.past + j;
        if (scores[j] == 0 || frame < 0 || frame >= a.frames) continue;
        const float weight = scores[j] / sum;
        const float* v = a.v + size_t(frame) * row + size_t(h) * size_t(a.head_dim);
        for (int c = 0; c < a.head_dim; ++c) y[c] += weight * v[c];
      }
    }
}

}  // namespace assay::kernels::cpu::portable
