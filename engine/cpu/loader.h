// Reads a checkpoint's tensors as what the engine computes with: matrices that stay where they are mapped, short
// vectors as floats. The first failure is kept, so that lists of weights read as lists. Not here: which weights a part
// of a model has (weights.h, vision.h, audio.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/cpu/matrix.h"
#include "model/checkpoint.h"

namespace assay::cpu {

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, kernels::Acts acts) : checkpoint_(checkpoint), acts_(acts) {}

  /// As stored; what lies behind the first rows * cols values can be had by Matrix::part.
  Matrix matrix(const std::string& name, int rows, int cols);
  /// For kernels that round nothing, whatever the mode.
  Matrix exact(const std::string& name, int rows, int cols) { return read(name, rows, cols, kernels::Acts::fp32); }
  /// name.linear.weight, with its bounds where `clipped`.
  Matrix clipped(const std::string& name, int rows, int cols, bool clipped);
  std::vector<float> vector(const std::string& name);
  float scalar(const std::string& name, float missing);

  /// Of the matrices that were read as the mode has them.
  const Widths& widths() const { return widths_; }
  /// The first failure, if there was one. Errors: bad_input (no such tensor), unsupported (a dtype without floats).
  Result<void> finish() const;

 private:
  Matrix read(const std::string& name, int rows, int cols, kernels::Acts acts);

  const Checkpoint& checkpoint_;
  kernels::Acts acts_;
  Widths widths_;
  std::optional<Failure> failure_;
};

}  // namespace assay::cpu
