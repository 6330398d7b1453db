// What is known of the tokens that attention looks at: how many are cached, which are padding, their positions and
// image blocks. Not here: keys and values (kv_cache.h), who sees whom (visibility.h).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay::reference {

struct Sequence {
  int batch = 0;
  int cached = 0;                       ///< tokens of calls before
  int tokens = 0;                       ///< tokens of this call
  std::vector<char> real;               ///< [batch, cached + tokens], 0 = padding, or forgotten
  std::vector<int> block;               ///< [batch, cached + tokens], the image or video block of this call, -1 = none
  std::vector<int> pack;                ///< [batch, cached + tokens], which of several prompts packed in one row
  std::vector<std::int64_t> positions;  ///< [batch * tokens], for RoPE
  bool reuses_cache = false;            ///< whether a cache object is there at all

  int keys() const { return cached + tokens; }
  std::size_t at(int row, int key) const { return std::size_t(row) * std::size_t(keys()) + std::size_t(key); }
};

/// Adds a call's tokens behind `before` (empty for a first call).
/// Blocks are maximal runs of mm_token_type_ids 1 (image) or 2 (video); cached tokens belong to none, as in
/// transformers. Positions that do not count up by one are several prompts packed in a row, each of which sees itself
/// only, where there is neither a mask nor a cache; elsewhere they are positions and no more. Errors: bad_input (mask,
/// position_ids or mm_token_type_ids of a wrong shape). Source: get_block_sequence_ids_for_mask,
/// find_packed_sequence_indices, Gemma4TextModel.forward (transformers 5.22.2).
Result<Sequence> extend(const Sequence& before, const Forward& call);

}  // namespace assay::reference
