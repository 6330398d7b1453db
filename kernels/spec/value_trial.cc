#include "kernels/spec/value_trial.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/widen.h"
#include "kernels/spec/random.h"

namespace assay::kernels {
namespace {

constexpr std::uint32_t kUntouched = 0x7fc5a5a5;  ///< a NaN with a payload: no arithmetic makes it
constexpr std::size_t kPad = 16;                  ///< untouched values before each output

}  // namespace

ValueTrial::ValueTrial(int rows, std::vector<Values> outputs, Call call, Answer answer)
    : rows_(rows), outputs_(std::move(outputs)), call_(std::move(call)), answer_(std::move(answer)) {
  for (const Values& output : outputs_) {
    buffers_.push_back(std::make_unique<Guarded>((kPad + output.count) * 4, 4));
    pointers_.push_back(buffers_.back()->as<float>() + kPad);
  }
  reset();
}

void ValueTrial::run(const Kernel& kernel, int first, int last) { call_(kernel, pointers_, first, last); }

void ValueTrial::reset() {
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    std::fill_n(buffers_[o]->as<std::uint32_t>(), kPad + outputs_[o].count, kUntouched);
    std::copy(outputs_[o].before.begin(), outputs_[o].before.end(), pointers_[o]);
  }
}

std::span<const std::byte> ValueTrial::output() const {
  return {reinterpret_cast<const std::byte*>(pointers_[0]), outputs_[0].count * 4};
}

void ValueTrial::answer() {
  if (answered_) return;
  for (Values& output : outputs_) {
    output.exact.assign(output.count, std::numeric_limits<double>::quiet_NaN());
    output.atol.assign(output.count, 0);
  }
  lost_ = answer_(outputs_);
  answered_ = true;
}

Checked ValueTrial::check(int first, int last) {
  answer();
  Checked checked;
  std::size_t at = 0;
  for (std::size_t o = 0; o < outputs_.size(); ++o) {
    const Values& output = outputs_[o];
    const auto bits = [&](std::size_t i) { return std::bit_cast<std::uint32_t>(pointers_[o][i]); };
    for (std::size_t i = 0; i < kPad; ++i) checked.guards_intact &= buffers_[o]->as<std::uint32_t>()[i] == kUntouched;
    for (std::size_t i = 0; i < output.count; ++i, ++at) {
      if (const int row = output.row_of(i); row < first || row >= last) {
        const std::uint32_t before =
            output.before.empty() ? kUntouched : std::bit_cast<std::uint32_t>(output.before[i]);
        checked.guards_intact &= bits(i) == before;
        continue;
      }
      const double exact = output.exact[i];
      if (std::isnan(exact)) continue;
      const double actual = output.integers ? double(std::int32_t(bits(i))) : double{pointers_[o][i]};
      ++checked.judged;
      constexpr double kInfinity = std::numeric_limits<double>::infinity();
      double ratio = 0;
      if (output.integers || std::isinf(exact))
        ratio = actual == exact ? 0 : kInfinity;
      else
        ratio = std::isfinite(actual) ? std::fabs(actual - exact) / output.atol[i] : kInfinity;
      checked.wrong += !(ratio <= 1);
      if (ratio > checked.worst_ratio) {
        checked.worst_ratio = ratio;
        checked.worst = at;
        checked.expected = exact;
        checked.actual = actual;
      }
    }
  }
  return checked;
}

void ValueTrial::lose_one_product() {
  answer();
  if (lost_.delta != 0) {
    pointers_[lost_.output][lost_.index] -= float(lost_.delta);
    return;
  }
  const Values& output = outputs_[0];
  float* values = pointers_[0];
  std::size_t found = output.count / 2;
  double largest = 0;
  for (std::size_t i = 0; i < output.count; ++i) {
    if (std::isnan(output.exact[i]) || !std::isfinite(values[i])) continue;
    const double change = std::fabs(double{values[i]} - widen_bf16(narrow_bf16(values[i])));
    const double ratio = change / std::max(output.atol[i], std::numeric_limits<double>::min());
    if (ratio > largest) found = i, largest = ratio;
  }
  // Where bf16 holds every value exactly (one zero, say) a step of bf16 does it.
  values[found] = largest > 1 ? widen_bf16(narrow_bf16(values[found])) : values[found] * 1.0078125F + 0x1p-100F;
}

std::vector<float> random_floats(std::size_t count, float magnitude, std::uint64_t seed) {
  std::vector<float> x(count);
#pragma omp parallel for if (count > 1 << 16)
  for (std::size_t i = 0; i < count; ++i) x[i] = random_signed(seed, i) * magnitude;
  return x;
}

std::vector<Shape> awkward_rows() {
  std::vector<Shape> shapes;
  int turn = 0;
  for (const int cols : {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 129, 257, 1000})
    for (const int rows : {1, 5, 19}) shapes.push_back({rows, cols, turn++ % 2});
  return shapes;
}

std::string invalid_fp32(Format format, Acts acts, const Shape& shape, int dims) {
  if (format != Format::fp32 || acts != Acts::fp32) return "takes fp32 alone";
  for (int d = 0; d < dims; ++d)
    if (shape[std::size_t(d)] < 1) return "a dimension below 1";
  return {};
}

}  // namespace assay::kernels
