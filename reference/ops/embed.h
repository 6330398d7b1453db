// Rows of an embedding table. Not here: which ids are looked up (blocks.h).
#pragma once

#include <cstdint>
#include <span>

#include "base/rows.h"
#include "reference/ops/weight.h"

namespace assay::reference {

/// Row ids[i] of the table times `scale`.
/// @param ids  [tokens], each below table.rows
/// @param out  [tokens, table.cols]
/// Source: Gemma4TextScaledWordEmbedding (transformers 5.22.2); the scale is an fp32 number there.
void embed(std::span<const std::int64_t> ids, const Weight& table, float scale, Rows<float> out);

}  // namespace assay::reference
