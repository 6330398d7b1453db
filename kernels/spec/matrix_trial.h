// The trial of ops that multiply a weight matrix by activations: gemv and gemm differ in tokens and in their call
// alone.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/guarded.h"
#include "kernels/op.h"
#include "kernels/spec/operands.h"

namespace assay::kernels {

/// Random weights in a format: all integers, scales of both signs, zero and subnormal ones among them.
/// @param out  rows of row_bytes(format, cols) bytes
void random_weights(Format format, int rows, int cols, std::uint64_t seed, std::byte* out);
/// Random activations: blocks of 32 of very different magnitude, some zero, some tiny; the first is ordinary.
std::vector<float> random_activations(int tokens, int cols, std::uint64_t seed);

class MatrixTrial : public Trial {
 public:
  /// Runs the op's function.
  using Call =
      std::function<void(const Kernel&, const Weights&, const Activations&, float* y, int stride, int first, int last)>;
  MatrixTrial(Format format, Acts acts, int rows, int cols, int tokens, std::uint64_t seed, Call call);

  int rows() const override { return rows_; }
  void run(const Kernel& kernel, int first, int last) override;
  void reset() override;
  std::span<const std::byte> output() const override;
  Checked check(int first, int last) override;
  void lose_one_product() override;

 private:
  struct Answer {
    int row = 0, token = 0;
    double exact = 0, partial = 0;  ///< partial: the largest magnitude on the way
    double ordinary = 0;            ///< a product of at least the root mean square's magnitude
  };
  void answer();

  Format format_;
  Acts acts_;
  int rows_, cols_, tokens_, stride_;
  Call call_;
  float scale_ = 1;
  Guarded weights_, values_, scales_, sums_, y_;
  std::vector<std::vector<float>> x_;  ///< what the modes leave of each token
  std::vector<Answer> answers_;
};

/// What is wrong with a matrix of this shape; empty if nothing is.
std::string invalid_matrix(Format format, Acts acts, int rows, int cols, int tokens);
/// Columns that break kernels, fewest first.
std::vector<int> awkward_cols(Format format, Acts acts);
Cost matrix_cost(Format format, Acts acts, int rows, int cols, int tokens);

}  // namespace assay::kernels
