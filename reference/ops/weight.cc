#include "reference/ops/weight.h"

#include <utility>

namespace assay::reference {

std::vector<float> Weight::floats() const {
  std::vector<float> values(std::size_t(rows) * std::size_t(cols));
  tensor.widen(first, values);
  return values;
}

Weight Weight::part(int i) const {
  Weight one = *this;
  one.first = first + std::int64_t{i} * rows * cols;
  return one;
}

Weight Weight::own(int rows, int cols, std::vector<float> values) {
  return {.tensor = Tensor::own({rows, cols}, std::move(values)), .rows = rows, .cols = cols};
}

}  // namespace assay::reference
