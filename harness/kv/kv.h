// What the KV cache of a model costs, from its layer plan alone: no weights, no engine. Not here: printing it, what an
// engine really allocates.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/plan.h"

namespace assay {

/// How one value is stored: `bytes` for each `block` values of one head's row.
struct KvFormat {
  std::string_view name;
  int block, bytes;
};
inline constexpr std::array<KvFormat, 3> kKvFormats = {{
    {"fp32", 1, 4}, {"bf16", 1, 2}, {"q8_0", 32, 34},  // 32 int8 and their fp16 scale, as GGML has it
}};

/// Bytes, for each of kKvFormats, under one way of keeping tokens.
using KvBytes = std::array<std::int64_t, kKvFormats.size()>;

/// One layer, or the sum of all layers of a kind, or of the model.
struct KvSizes {
  KvBytes held{};  ///< as transformers keeps it between two calls: a sliding layer's last window - 1 tokens
  KvBytes ring{};  ///< in a ring that also holds the token being computed: window tokens
  KvBytes least{}; /**< the ring, where K=V layers keep one tensor: both norms divide by the same root and V's has no
                        weight, so K is V times k_norm's weight, rotated */
  KvBytes flat{};  ///< had every layer its own K/V of every token: what sharing and windows save is the difference
};

struct KvLayer {
  int kv_heads = 0, head_dim = 0, window = 0;  ///< window 0: full attention
  KvSource source;                             ///< anything but `own` costs nothing
  bool value_is_key = false;
  std::int64_t held_tokens = 0, ring_tokens = 0;  ///< of each sequence; 0 without K/V of its own
  KvSizes bytes;
};

struct KvKind {
  int window = 0;               ///< 0: full attention
  int owners = 0, sharers = 0;  ///< layers with K/V of their own, and those that read another's
  int kv_heads = 0, head_dim = 0;
  bool value_is_key = false;
  std::int64_t held_tokens = 0, ring_tokens = 0;
  KvSizes bytes;
};

struct KvCost {
  std::vector<KvLayer> layers;
  std::vector<KvKind> kinds;  ///< sliding first
  KvSizes total;
};

/// @param context  tokens of each sequence, the prompt and what is generated
/// @param batch    sequences
/// Errors: bad_input (context or batch below 1, more bytes than an int64 counts).
/// Source: DynamicCache, DynamicSlidingWindowLayer.update (transformers 5.22.2).
Result<KvCost> kv_cost(const Plan& plan, std::int64_t context, std::int64_t batch);

}  // namespace assay
