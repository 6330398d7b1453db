#include "engine/cpu/loader.h"

#include <utility>

namespace assay::cpu {

Matrix Loader::read(const std::string& name, int rows, int cols, kernels::Acts acts) {
  Result<Matrix> made =
      checkpoint_.tensor(name).and_then([&](const Tensor& tensor) { return make_matrix(tensor, rows, cols, acts); });
  if (made) return std::move(*made);
  if (!failure_) failure_ = made.error();
  return {};
}

Matrix Loader::matrix(const std::string& name, int rows, int cols) {
  Matrix made = read(name, rows, cols, acts_);
  widths_.add(made);
  return made;
}

Matrix Loader::clipped(const std::string& name, int rows, int cols, bool clipped) {
  Matrix made = matrix(name + ".linear.weight", rows, cols);
  if (!clipped) return made;
  const auto bounds = [&](const std::string& side) {
    return Bounds{scalar(name + "." + side + "_min", Bounds{}.low), scalar(name + "." + side + "_max", Bounds{}.high)};
  };
  made.input = bounds("input");
  made.output = bounds("output");
  return made;
}

std::vector<float> Loader::vector(const std::string& name) {
  const auto values = checkpoint_.tensor(name).and_then([](const Tensor& tensor) { return tensor.floats(); });
  if (values) return *values;
  if (!failure_) failure_ = values.error();
  return {};
}

float Loader::scalar(const std::string& name, float missing) {
  if (!checkpoint_.tensors.contains(name)) return missing;
  const std::vector<float> values = vector(name);
  return values.empty() ? missing : values.front();
}

Result<void> Loader::finish() const {
  if (failure_) return fail(*failure_);
  return {};
}

}  // namespace assay::cpu
