// A view of a row-major matrix. Not here: ownership, arithmetic.
#pragma once

#include <cstddef>
#include <span>

namespace assay {

template <class T>
struct Rows {
  T* data = nullptr;
  int rows = 0, cols = 0;

  std::span<T> row(int r) const { return {data + std::size_t(r) * std::size_t(cols), std::size_t(cols)}; }
  std::size_t size() const { return std::size_t(rows) * std::size_t(cols); }
  std::span<T> all() const { return {data, size()}; }
  bool empty() const { return size() == 0; }
  /// Rows [first, first + count).
  Rows slice(int first, int count) const { return {data + std::size_t(first) * std::size_t(cols), count, cols}; }
  operator Rows<const T>() const { return {data, rows, cols}; }  // NOLINT: a view may always become read-only
};

}  // namespace assay
