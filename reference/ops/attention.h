// Attention of one query over the keys that it sees. Not here: which keys (visibility.h), where K and V come from
// (kv_cache.h).
#pragma once

#include <span>

#include "base/rows.h"

namespace assay::reference {

/// For every query head h: softmax(q_h . k) over the seen keys, times v, with K/V head h / (heads / kv_heads).
/// The scale is 1: q_norm and k_norm stand in for 1 / sqrt(d).
/// @param q       [heads * d]
/// @param keys    [n, kv_heads * d], with RoPE; values likewise without
/// @param seen    [n], 0 where the query may not look
/// @param ctx     [heads * d]
/// Source: Gemma4TextAttention.forward, eager_attention_forward (transformers 5.22.2).
void attention(std::span<const float> q, Rows<const float> keys, Rows<const float> values, std::span<const char> seen,
               int head_dim, std::span<float> ctx);

}  // namespace assay::reference
