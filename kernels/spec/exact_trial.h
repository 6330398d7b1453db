// The trial of ops whose every bit is prescribed: outputs are compared as bytes. Not here: sums in fp32
// (matrix_trial.h).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/guarded.h"
#include "kernels/op.h"

namespace assay::kernels {

/// One output array: so many bytes a row, and what they must be.
struct ExactOutput {
  std::size_t row_bytes = 0;
  std::vector<std::byte> expected;  ///< rows of row_bytes
};

class ExactTrial : public Trial {
 public:
  /// Runs the op's function on the outputs' buffers, in the order of `outputs`.
  using Call = std::function<void(const Kernel&, std::span<std::byte* const> out, int first, int last)>;
  /// @param alignment  of each output
  ExactTrial(int rows, std::size_t alignment, std::vector<ExactOutput> outputs, Call call);

  int rows() const override { return rows_; }
  void run(const Kernel& kernel, int first, int last) override;
  void reset() override;
  std::span<const std::byte> output() const override;  ///< the first array
  Checked check(int first, int last) override;         ///< worst counts bytes, through all outputs in order
  void lose_one_product() override;

 private:
  int rows_;
  std::vector<ExactOutput> outputs_;
  std::vector<std::unique_ptr<Guarded>> buffers_;
  std::vector<std::byte*> pointers_;
  Call call_;
};

}  // namespace assay::kernels
