// A weight matrix as the checkpoint holds it: mapped, in the file's dtype, widened row by row when it is used.
#pragma once

#include <span>
#include <vector>

#include "base/rows.h"
#include "model/tensor.h"

namespace assay::reference {

struct Weight {
  Tensor tensor;  ///< [rows, cols], row-major; has_floats() holds
  int rows = 0, cols = 0;
  std::int64_t first = 0;  ///< element at which this matrix starts: an expert's part of a stack

  bool empty() const { return rows == 0; }
  /// Row r as float. @param out [cols]
  void row(int r, std::span<float> out) const { tensor.widen(first + std::int64_t{r} * cols, out); }
  /// All rows as float, [rows * cols].
  std::vector<float> floats() const;
  /// Matrix i of a stack of matrices of this shape.
  Weight part(int i) const;
  /// A matrix that owns its values.
  static Weight own(int rows, int cols, std::vector<float> values);
};

}  // namespace assay::reference
