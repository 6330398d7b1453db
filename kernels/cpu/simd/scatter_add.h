// Weighted rows added to rows, on registers of any width (lanes.h). Internal linkage.
#pragma once

#include "kernels/spec/scatter_add.h"
#include "lanes.h"

namespace assay::kernels::cpu {
namespace {

inline void scatter_add(const ScatterAdd& add, int first, int last) {
  for (int i = first; i < last; ++i) {
    const float* x = add.x + i * add.x_stride;
    float* y = add.y + add.rows[i] * add.y_stride;
    const Lanes weight = all(add.weights[i]);
    each_register(add.cols, [&](int c, int count) {
      store_some(y + c, fused(weight, load_some(x + c, count), load_some(y + c, count)), count);
    });
  }
}

}  // namespace
}  // namespace assay::kernels::cpu
