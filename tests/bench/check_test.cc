// Kernels that lie in every way that check looks for; beside them the honest ones of the table.
#include "harness/kernel/check.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/spec/gemv.h"

namespace assay {
namespace {

using kernels::Activations;
using kernels::Kernel;
using kernels::Shape;
using kernels::Weights;
using testing::HasSubstr;

const Kernel& honest() { return *kernels::find_kernel("gemv_fp32_fp32_portable"); }

void multiply(const Weights& w, const Activations& x, float* y, int first, int last) {
  kernels::function<kernels::spec::gemv>(honest())(w, x, y, first, last);
}

/// Forgets the last column of rows that have more than 40: right at small sizes.
void forgets_a_tail(const Weights& w, const Activations& x, float* y, int first, int last) {
  multiply(w, x, y, first, last);
  if (w.cols <= 40) return;
  const auto* weights = reinterpret_cast<const float*>(w.data);
  for (int r = first; r < last; ++r)
    y[r] -= weights[std::size_t(r) * std::size_t(w.cols) + std::size_t(w.cols) - 1] *
            static_cast<const float*>(x.values)[w.cols - 1];
}
/// Rounds otherwise where it begins in the middle: within tolerance, but not the same bits for other splits.
void depends_on_the_split(const Weights& w, const Activations& x, float* y, int first, int last) {
  multiply(w, x, y, first, last);
  if (first > 0) y[first] = std::nextafter(y[first], 1e30F);
}
void writes_a_row_too_many(const Weights& w, const Activations& x, float* y, int first, int last) {
  multiply(w, x, y, first, std::min(last + 1, w.rows));
}
void does_nothing(const Weights&, const Activations&, float*, int, int) {}

Kernel lying(kernels::spec::gemv::Fn* function) {
  Kernel kernel = honest();
  kernel.name = "gemv_fp32_fp32_liar";
  kernel.fn = reinterpret_cast<kernels::AnyFn*>(function);
  return kernel;
}

std::string fault_of(const Kernel& kernel, const Shape& shape) {
  KernelReport report;
  const auto fault = check_shape(kernel, shape, {}, report);
  return fault ? fault->what : "";
}

TEST(Check, BelievesAnHonestKernel) {
  const Shape real{96, 1536};
  const KernelReport report = check_kernel(honest(), {&real, 1}, {.threads = 2});
  EXPECT_TRUE(report.faults.empty()) << report.faults[0].what;
  EXPECT_GT(report.shapes, 70U);
  EXPECT_GT(report.judged, report.shapes);
  EXPECT_LE(report.worst_ratio, 1);
}

TEST(Check, CatchesEachKindOfLie) {
  EXPECT_THAT(fault_of(lying(does_nothing), {8, 64}), HasSubstr("8 of 8 wrong"));
  EXPECT_THAT(fault_of(lying(forgets_a_tail), {8, 64}), HasSubstr("x tolerance"));
  EXPECT_EQ(fault_of(lying(forgets_a_tail), {8, 32}), "");
  EXPECT_THAT(fault_of(lying(depends_on_the_split), {64, 64}), HasSubstr("other bits with"));
  EXPECT_THAT(fault_of(lying(writes_a_row_too_many), {64, 64}), HasSubstr("wrote beside its rows"));
}

TEST(Check, NamesTheShapeAndStopsAfterAFew) {
  const KernelReport report = check_kernel(lying(forgets_a_tail), {}, {.threads = 1, .seed = 7, .most_faults = 2});
  ASSERT_EQ(report.faults.size(), 2U);
  EXPECT_GT(report.faults[0].shape[1], 40);
  EXPECT_EQ(report.faults[0].seed, 7U);
}

TEST(Check, FindsWhatOnlyARealShapeShows) {
  static int largest;
  largest = 0;
  const auto wrong_when_wide = [](const Weights& w, const Activations& x, float* y, int first, int last) {
    largest = std::max(largest, w.cols);
    if (w.cols > 2000) return;
    multiply(w, x, y, first, last);
  };
  const Kernel kernel = lying(wrong_when_wide);
  EXPECT_TRUE(check_kernel(kernel, {}, {}).faults.empty());
  EXPECT_LT(largest, 2000);
  const Shape real{64, 2048};
  EXPECT_EQ(check_kernel(kernel, {&real, 1}, {}).faults.size(), 1U);
}

TEST(Check, SaysWhereItIsBeforeItTries) {
  std::vector<Shape> seen;
  CheckOptions options;
  options.before = [&](const Shape& shape) { seen.push_back(shape); };
  const KernelReport report = check_kernel(honest(), {}, options);
  EXPECT_EQ(seen.size(), report.shapes);
}

TEST(Check, SmallShapesHoldEverySizeThatAFormatTakes) {
  const kernels::OpInfo& gemv = kernels::info(kernels::Op::gemv);
  const auto has = [](const std::vector<Shape>& shapes, std::size_t dim, int size) {
    return std::any_of(shapes.begin(), shapes.end(), [&](const Shape& s) { return s[dim] == size; });
  };
  const auto fp32 = small_shapes(gemv, kernels::Format::fp32, kernels::Acts::fp32);
  const auto q4_0 = small_shapes(gemv, kernels::Format::q4_0, kernels::Acts::int8);
  for (int size = 1; size <= 70; ++size) {
    EXPECT_TRUE(has(fp32, 0, size) && has(fp32, 1, size)) << size;
    EXPECT_TRUE(has(q4_0, 0, size)) << size;
    EXPECT_EQ(has(q4_0, 1, size), size % 32 == 0) << size;
  }
}

}  // namespace
}  // namespace assay
