// Attention of a call's queries over a cache, shared out among a team. Not here: the kernel (kernels/spec/attention.h),
// who sees whom (visibility.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/cpu/kernel_table.h"
#include "engine/cpu/kv_cache.h"
#include "engine/cpu/team.h"

namespace assay::cpu {

/// Queries of every batch row: `tokens` of each, a row's one behind the other, `stride` tokens from row to row.
struct Queries {
  const float* q;                              ///< [.., heads * head_dim]
  const std::int32_t *from, *to;               ///< of each token: which keys it sees
  std::span<const std::uint8_t* const> masks;  ///< a batch row each: keys that are real; nullptr: all of them
  float* y;                                    ///< as q
  int tokens, stride;
  int heads, kv_heads, head_dim;

  int batch() const { return int(masks.size()); }
};

/// Keys of few queries are cut into chunks (attention.h), whose parts lie in between.
using kernels::kFewQueries;
/// Floats of those parts, for up to kFewQueries tokens of each batch row over `keys` keys.
std::size_t partial_floats(int batch, int heads, int head_dim, int keys);

/// All threads come with the queries and the cache complete, and leave when y is.
void attend(const Team& team, const KernelTable& kernels, const KvCache& cache, const Queries& queries, float* partial);

}  // namespace assay::cpu
