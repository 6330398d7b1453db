#include "kernels/spec/exact_trial.h"

#include <algorithm>
#include <limits>

namespace assay::kernels {
namespace {

constexpr std::byte kUntouched{0xa5};
constexpr std::size_t kPad = 64;  ///< untouched bytes before each output

}  // namespace

ExactTrial::ExactTrial(int rows, std::size_t alignment, std::vector<ExactOutput> outputs, Call call)
    : rows_(rows), outputs_(std::move(outputs)), call_(std::move(call)) {
  for (const ExactOutput& output : outputs_) {
    buffers_.push_back(std::make_unique<Guarded>(kPad + output.expected.size(), alignment));
    pointers_.push_back(buffers_.back()->data() + kPad);
  }
  reset();
}

void ExactTrial::run(const Kernel& kernel, int first, int last) { call_(kernel, pointers_, first, last); }

void ExactTrial::reset() {
  for (const auto& buffer : buffers_) std::fill(buffer->bytes().begin(), buffer->bytes().end(), kUntouched);
}

std::span<const std::byte> ExactTrial::output() const { return {pointers_[0], outputs_[0].expected.size()}; }

Checked ExactTrial::check(int first, int last) {
  Checked checked;
  std::size_t at = 0;
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const ExactOutput& output = outputs_[o];
    const std::byte* actual = pointers_[o];
    for (std::size_t i = 0; i < kPad; ++i) checked.guards_intact &= buffers_[o]->data()[i] == kUntouched;
    for (std::size_t i = 0; i < output.expected.size(); ++i, ++at) {
      const int row = int(i / output.row_bytes);
      if (row < first || row >= last) {
        checked.guards_intact &= actual[i] == kUntouched;
        continue;
      }
      ++checked.judged;
      if (actual[i] == output.expected[i]) continue;
      if (checked.wrong++ > 0) continue;
      checked.worst_ratio = std::numeric_limits<double>::infinity();
      checked.worst = at;
      checked.expected = double(output.expected[i]);
      checked.actual = double(actual[i]);
    }
  }
  return checked;
}

void ExactTrial::lose_one_product() { pointers_[0][outputs_[0].expected.size() / 2] ^= std::byte{1}; }

}  // namespace assay::kernels
