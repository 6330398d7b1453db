#include "reference/tensor_reader.h"

#include <utility>

namespace assay::reference {

Weight TensorReader::matrix(const std::string& name, int rows, int cols) {
  auto tensor = checkpoint_.tensor(name);
  if (!tensor) {
    note(std::move(tensor).error());
    return {};
  }
  return {.tensor = std::move(*tensor), .rows = rows, .cols = cols};
}

std::vector<float> TensorReader::vector(const std::string& name) {
  auto tensor = checkpoint_.tensor(name);
  auto values = tensor ? tensor->floats() : Result<std::vector<float>>(fail(tensor.error()));
  if (values) return std::move(*values);
  note(std::move(values).error());
  return {};
}

float TensorReader::scalar(const std::string& name, float missing) {
  if (!checkpoint_.tensor(name)) return missing;
  const std::vector<float> values = vector(name);
  return values.empty() ? missing : values[0];
}

ClippedWeight TensorReader::clipped(const std::string& name, int rows, int cols, bool clipped) {
  ClippedWeight w;
  w.weight = matrix(name + ".linear.weight", rows, cols);
  if (!clipped) return w;
  w.input = {scalar(name + ".input_min", w.input.low), scalar(name + ".input_max", w.input.high)};
  w.output = {scalar(name + ".output_min", w.output.low), scalar(name + ".output_max", w.output.high)};
  return w;
}

Result<void> TensorReader::finish() const {
  if (first_) return fail(*first_);
  return {};
}

void TensorReader::note(Failure failure) {
  if (!first_) first_ = std::move(failure);
}

}  // namespace assay::reference
