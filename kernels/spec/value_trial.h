// The trial of ops whose outputs are judged value by value: exact answers in double with a tolerance each, or integers.
// Not here: weight matrices (matrix_trial.h), ops whose every bit is prescribed (exact_trial.h).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/guarded.h"
#include "kernels/op.h"

namespace assay::kernels {

/// One output array, of floats or of 32-bit integers.
struct Values {
  std::size_t count = 0;
  int row_values = 1;  ///< consecutive values of one of the trial's rows
  bool integers = false;
  std::vector<float> before = {};  ///< what stands there when the op is called (in place); empty: nothing
  std::vector<int> rows = {};      ///< the trial's row that writes each value, where that is not index / row_values
  // The answer, `count` values each.
  std::vector<double> exact = {};  ///< NaN: not judged
  std::vector<double> atol = {};   ///< ignored for integers and infinities, which must be met

  int row_of(std::size_t i) const { return rows.empty() ? int(i / std::size_t(row_values)) : rows[i]; }
};

/// What one product of ordinary size, or one wrong step, adds to a value.
struct Lost {
  std::size_t output = 0, index = 0;
  double delta =
      0;  ///< 0: of the first output, the value that most exceeds its tolerance when rounded to bf16 is so rounded
};

class ValueTrial : public Trial {
 public:
  /// Runs the op's function on the outputs' buffers.
  using Call = std::function<void(const Kernel&, std::span<float* const> out, int first, int last)>;
  /// Fills exact and atol of each output; called once, before the first judgement.
  using Answer = std::function<Lost(std::span<Values> outputs)>;
  ValueTrial(int rows, std::vector<Values> outputs, Call call, Answer answer);

  int rows() const override { return rows_; }
  void run(const Kernel& kernel, int first, int last) override;
  void reset() override;
  std::span<const std::byte> output() const override;  ///< the first array
  Checked check(int first, int last) override;
  void lose_one_product() override;

 private:
  void answer();

  int rows_;
  std::vector<Values> outputs_;
  std::vector<std::unique_ptr<Guarded>> buffers_;
  std::vector<float*> pointers_;
  Call call_;
  Answer answer_;
  bool answered_ = false;
  Lost lost_;
};

/// Inputs that end at a page which cannot be read.
template <class T>
std::shared_ptr<Guarded> guarded(std::span<const T> values) {
  auto made = std::make_shared<Guarded>(values.size_bytes(), sizeof(T));
  std::copy(values.begin(), values.end(), made->template as<T>());
  return made;
}
template <class T>
std::shared_ptr<Guarded> guarded(const std::vector<T>& values) {
  return guarded(std::span<const T>(values));
}

/// Uniform in [-magnitude, magnitude).
std::vector<float> random_floats(std::size_t count, float magnitude, std::uint64_t seed);

/// {rows, cols, extra} for widths around vector and block sizes, `extra` 0 and 1 in turn.
std::vector<Shape> awkward_rows();

/// Of an op that takes fp32 alone: what is wrong with a format, a mode, or a dimension below 1 among the first `dims`.
std::string invalid_fp32(Format format, Acts acts, const Shape& shape, int dims);

}  // namespace assay::kernels
