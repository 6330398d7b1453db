// Activations from fp32 to the mode that a matrix's kernel takes. Done once for all matrices that read them.
//   bf16: round to nearest even
//   int8: blocks of 32 columns; absmax = largest |x|; scale = absmax / 127; q = x * (127 / absmax) rounded to nearest
//         even; a block with absmax < kSmallestAbsmax is zeros with scale 0; sums: of the first half's q and of all,
//         times kSumsFactor
// Every operation is one rounding of IEEE fp32, so all kernels give the same bits. x is finite.
// Shapes: x [tokens, cols], cols a multiple of 32 for int8. first and last are tokens. Writes the rows [first, last) of
// out, reads nothing outside x.
// Format fp32 is the only one: it says what is read.
// Bytes: x, values, scales and sums once. FLOPs: 2 tokens cols.
#pragma once

#include "kernels/spec/operands.h"

namespace assay::kernels::spec {

struct narrow {
  using Fn = void(const float* x, int cols, const ActivationsOut& out, int first, int last);
};

}  // namespace assay::kernels::spec
