#include "engine/cpu/attend.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace assay::cpu {

std::size_t partial_floats(int batch, int heads, int head_dim, int keys) {
  return std::size_t(batch) * kFewQueries * std::size_t(heads) * std::size_t(kernels::attention_chunks_of(keys)) *
         std::size_t(head_dim + 2);
}

void attend(const Team& team, const KernelTable& kernels, const KvCache& cache, const Queries& queries,
            float* partial) {
  const auto keys_of = [&](int b) {
    std::int32_t low = std::numeric_limits<std::int32_t>::max(), high = 0;
    for (int t = b * queries.stride; t < b * queries.stride + queries.tokens; ++t) {
      low = std::min(low, queries.from[t]);
      high = std::max(high, queries.to[t]);
    }
    return std::max(0, high - low);
  };
  const bool few = queries.tokens <= kFewQueries;
  const auto of_row = [&](int b, float* parts) {
    const std::ptrdiff_t first = std::ptrdiff_t(b) * queries.stride, values = first * queries.heads * queries.head_dim;
    return kernels::Attention{.q = queries.q + values,
                              .k = cache.keys(b),
                              .v = cache.values(b),
                              .from = queries.from + first,
                              .to = queries.to + first,
                              .mask = queries.masks[std::size_t(b)],
                              .y = queries.y + values,
                              .partial = parts,
                              .tokens = queries.tokens,
                              .heads = queries.heads,
                              .kv_heads = queries.kv_heads,
                              .head_dim = queries.head_dim,
                              .capacity = cache.capacity(),
                              .mask_first = 0,
                              .mask_stride = 0,
                              .chunk = few ? kernels::attention_chunk_of(keys_of(b)) : 0,
                              .scale = 1};
  };
  const auto parts_of = [&](int chunks) {
    return std::ptrdiff_t(queries.tokens) * queries.heads * chunks * (queries.head_dim + 2);
  };
  const auto lap = [&] {
    if (team.clock == nullptr) return;
    double pairs = 0, keys = 0;
    for (int b = 0; b < queries.batch(); ++b) {
      for (int t = b * queries.stride; t < b * queries.stride + queries.tokens; ++t)
        pairs += std::max(0, queries.to[t] - queries.from[t]);
      keys += keys_of(b);
    }
    team.lap("attention", {.bytes = keys * 2 * double(cache.row_bytes()),
                           .flops = 4 * pairs * queries.heads * queries.head_dim,
                           .acts = kernels.attention_acts});
  };
  int total = 0;
  for (int b = 0; b < queries.batch(); ++b) total += attention_units(of_row(b, partial));
  bool merge = false;
  float* parts = partial;
  if (queries.batch() == 1 && !few) {
    // Later tokens see more keys: they go first, so that threads end together.
    const kernels::Attention attention = of_row(0, parts);
    team.take_turns(total, [&](int i) { kernels.attention(attention, total - 1 - i, total - i); });
  } else {
    const Team::Part part = team.split(total);
    for (int b = 0, before = 0; b < queries.batch(); ++b) {
      const kernels::Attention attention = of_row(b, parts);
      const int units = attention_units(attention), chunks = attention_chunks(attention);
      const int first = std::max(part.first, before), last = std::min(part.last, before + units);
      if (first < last) kernels.attention(attention, first - before, last - before);
      before += units;
      if (chunks > 1) {
        merge = true;
        parts += parts_of(chunks);
      }
    }
  }
  team.sync();
  if (!merge) {
    lap();
    return;
  }
  parts = partial;
  const Team::Part rows = team.split(queries.tokens * queries.heads);
  for (int b = 0; b < queries.batch(); ++b) {
    const kernels::Attention attention = of_row(b, parts);
    const int chunks = attention_chunks(attention);
    if (chunks <= 1) continue;
    if (rows.first < rows.last)
      kernels.attention_merge(parts, chunks, queries.head_dim, attention.y, rows.first, rows.last);
    parts += parts_of(chunks);
  }
  team.sync();
  lap();
}

}  // namespace assay::cpu
