#include "kernels/spec/router.h"

#include "elementary.h"

namespace assay::kernels::cpu::portable {

void router_fp32_fp32(const Router& router, int first, int last) {
  const int experts = router.experts;
  for (int t = first; t < last; ++t) {
    const float* scores = router.scores + size_t(t) * size_t(experts);
    float* probs = router.probs + size_t(t) * size_t(experts);
    float largest = scores[0];
    for (int e = 1; e < experts; ++e) largest = scores[e] > largest ? scores[e] : largest;
    for (int e = 0; e < experts; ++e) probs[e] = expf(scores[e] - largest);
    const float sum = sum_of(probs, experts);
    for (int e = 0; e < experts; ++e) probs[e] /= sum;

    std::int32_t* ids = router.ids + size_t(t) * size_t(router.used);
    float* weights = router.weights + size_t(t) * size_t(router.used);
    const auto rank = [probs](int e) { return probs[e] >= 0 ? probs[e] : -1.0F; };  // NaN compares with nothing: last
    float before = 2, chosen = 0;  // behind which rank, and which expert of it, the next one comes
    int before_id = -1;
    for (int i = 0; i < router.used; ++i) {
      int best = -1;
      for (int e = 0; e < experts; ++e) {
        const bool left = rank(e) < before || (rank(e) == before && e > before_id);
        if (left && (best < 0 || rank(e) > rank(best))) best = e;
      }
      ids[i] = before_id = best;
      before = rank(best);
      weights[i] = probs[best];
      chosen += weights[i];
    }
    for (int i = 0; i < router.used; ++i) weights[i] = weights[i] / chosen * router.expert_scale[ids[i]];
  }
}

}  // namespace assay::kernels::cpu::portable
