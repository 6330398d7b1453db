// Tensors of a checkpoint as the oracle's parts hold them. Not here: which tensors a part has (parts.cc, towers.cc).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"
#include "reference/ops/clipped_linear.h"
#include "reference/ops/weight.h"

namespace assay::reference {

/// Reads tensors by name; the first that is missing is the failure of all.
class TensorReader {
 public:
  explicit TensorReader(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  Weight matrix(const std::string& name, int rows, int cols);
  std::vector<float> vector(const std::string& name);
  /// The one value of a tensor, or `missing` where there is no such tensor.
  float scalar(const std::string& name, float missing);
  /// `name.linear.weight` and, if clipped, the bounds beside it.
  ClippedWeight clipped(const std::string& name, int rows, int cols, bool clipped);

  Result<void> finish() const;

 private:
  void note(Failure failure);

  const Checkpoint& checkpoint_;
  std::optional<Failure> first_;
};

}  // namespace assay::reference
