// Reads memory and does nothing else that takes time: the roof of every op that is bound by its bytes.
//   y[r] = the exclusive or of row r's words, so that nothing can be left out
// Shapes: x [rows, cols] of 32-bit words, cols a multiple of 256, aligned to 64 bytes; y [rows]. Writes y[first, last)
// only. Format and activations are fp32: 32-bit words. Bytes: x and y once. FLOPs: none.
#pragma once

#include <cstdint>

namespace assay::kernels::spec {

struct read {
  using Fn = void(const std::uint32_t* x, int cols, std::uint32_t* y, int first, int last);
};

}  // namespace assay::kernels::spec
