// Rows of an embedding table, or of any matrix. Not here: which ids are looked up.
//   y[t, c] = table[ids[t], c] * scale
// Shapes: table [rows, cols] in the kernel's format (operands.h; kernels/formats.h says how it is dequantised, every
// product rounded to fp32), ids [tokens], each from 0 to rows - 1, y [tokens, cols] fp32. first and last are tokens.
// Writes y[first, last) only, reads only the rows of ids[first, last). Every operation is one rounding of IEEE fp32, so
// all kernels give the same bits. Bytes: the rows and y once. FLOPs: 2 tokens cols.
// Source: Gemma4TextScaledWordEmbedding (transformers 5.22.2).
#pragma once

#include <cstdint>

#include "kernels/spec/operands.h"

namespace assay::kernels::spec {

struct gather {
  using Fn = void(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
