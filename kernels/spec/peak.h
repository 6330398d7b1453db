// Multiplies and adds out of registers, as fast as the machine can: the roof of every op that is bound by its
// arithmetic, in each mode (fp32 products, bf16 pairs, int8 quadruples).
//   y[r] = products of 1 * 1, summed: kPeakProducts * steps
// A step makes kPeakProducts products in any number of independent sums. steps <= 1024, so that fp32 counts exactly.
// Shapes: y [rows]; every row is the same work again. Writes y[first, last) only.
// Bytes: none. FLOPs: 2 rows steps kPeakProducts.
#pragma once

namespace assay::kernels::spec {

constexpr int kPeakProducts = 1536;  // 24 registers of 64 bytes, one product a byte

struct peak {
  using Fn = void(int steps, float* y, int first, int last);
};

}  // namespace assay::kernels::spec
