// A matrix that owns its floats: what an op returns. Not here: views (base/rows.h).
#pragma once

#include <vector>

#include "base/rows.h"

namespace assay::reference {

struct Grid {
  std::vector<float> values;
  int rows = 0, cols = 0;

  Grid() = default;
  Grid(int row_count, int col_count)
      : values(std::size_t(row_count) * std::size_t(col_count)), rows(row_count), cols(col_count) {}
  explicit Grid(Rows<const float> view)
      : values(view.data, view.data + view.size()), rows(view.rows), cols(view.cols) {}

  Rows<float> view() { return {values.data(), rows, cols}; }
  Rows<const float> view() const { return {values.data(), rows, cols}; }
  std::span<float> row(int r) { return view().row(r); }
  std::span<const float> row(int r) const { return view().row(r); }
  bool empty() const { return values.empty(); }
};

/// a + b, element by element; b has a's shape.
inline Grid sum(Rows<const float> a, Rows<const float> b) {
  Grid y(a);
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] += b.data[i];
  return y;
}

}  // namespace assay::reference
