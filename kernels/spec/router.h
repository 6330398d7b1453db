// Which experts a token goes to, and how much each counts. Not here: the scores, which a norm and a matrix make
// (rms_norm.h with weight = router scale * hidden^-0.5, gemm.h).
//   probs[t, e] = softmax of scores[t, .]
//   ids[t, 0..used) = the experts with the largest probs, largest first; of equals the lower number first, which
//     torch.topk leaves open. Probs that are NaN (all of a token's, where a score is NaN or infinity) are equals behind
//     all others: whatever scores hold, ids are valid and distinct, for others address memory by them
//   weights[t, i] = probs[t, ids[t, i]] / sum over i of probs[t, ids[t, i]] * expert_scale[ids[t, i]],
//     NaN where a prob of them is
// Shapes: scores, probs [tokens, experts]; probs may be scores. expert_scale [experts]; ids, weights [tokens, used],
// 1 <= used <= experts. first and last are tokens. Writes the rows [first, last) of probs, ids and weights only, reads
// nothing outside its operands. Arithmetic: fp32; ids are those of the probs that the kernel itself has worked out.
// Bytes: all operands once. FLOPs: counted as tokens experts (16 + used). Source: Gemma4TextRouter
// (transformers 5.22.2).
#pragma once

#include <cstdint>

namespace assay::kernels {

struct Router {
  const float* scores;
  const float* expert_scale;
  float* probs;
  std::int32_t* ids;
  float* weights;
  int experts, used;
};

namespace spec {

struct router {
  using Fn = void(const Router& router, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
