// Every kernel of the table that this machine can run, at every awkward shape of its op. Not here: real shapes
// (`assay kernel check`).
#include <vector>

#include <gtest/gtest.h>

#include "kernels/op.h"

namespace assay::kernels {
namespace {

constexpr std::uint64_t kSeed = 20;

std::string repro(const Kernel& kernel, const Shape& shape) {
  return std::string(kernel.name) + " " + to_string(info(kernel.op), shape) + " seed " + std::to_string(kSeed);
}

std::string text(const Checked& c) {
  return std::to_string(c.wrong) + " of " + std::to_string(c.judged) + " wrong; worst at " + std::to_string(c.worst) +
         ": expected " + std::to_string(c.expected) + ", found " + std::to_string(c.actual) + ", " +
         std::to_string(c.worst_ratio) + " x tolerance" + (c.guards_intact ? "" : "; wrote beside its rows");
}

class Table : public testing::TestWithParam<const Kernel*> {
 protected:
  void SetUp() override {
    if (!runnable(*GetParam())) GTEST_SKIP() << "this machine has no " << name(GetParam()->isa);
  }
  /// Calls with each awkward shape and a trial of it.
  template <class Use>
  void each_shape(Use use) {
    const Kernel& kernel = *GetParam();
    const OpInfo& op = info(kernel.op);
    const std::vector<Shape> shapes = op.awkward(kernel.format, kernel.acts);
    ASSERT_FALSE(shapes.empty());
    for (const Shape& shape : shapes) {
      ASSERT_EQ(op.invalid(kernel.format, kernel.acts, shape), "") << repro(kernel, shape);
      const auto trial = op.trial(kernel.format, kernel.acts, shape, kSeed);
      use(kernel, *trial, shape);
    }
  }
};

TEST_P(Table, GivesTheSpecsAnswer) {
  each_shape([](const Kernel& kernel, Trial& trial, const Shape& shape) {
    trial.run(kernel, 0, trial.rows());
    const Checked checked = trial.check();
    EXPECT_TRUE(checked.passed()) << repro(kernel, shape) << ": " << text(checked);
  });
}

TEST_P(Table, GivesTheSameBitsWhereverThreadsSplitTheRows) {
  each_shape([](const Kernel& kernel, Trial& trial, const Shape& shape) {
    trial.run(kernel, 0, trial.rows());
    const std::vector<std::byte> whole(trial.output().begin(), trial.output().end());
    for (const int piece : {1, 3, 8, 17}) {
      trial.reset();
      for (int first = 0; first < trial.rows(); first += piece)
        trial.run(kernel, first, std::min(first + piece, trial.rows()));
      EXPECT_TRUE(std::equal(whole.begin(), whole.end(), trial.output().begin()))
          << repro(kernel, shape) << " in pieces of " << piece;
    }
  });
}

TEST_P(Table, RunsInThreads) {
  const Kernel& kernel = *GetParam();
  const OpInfo& op = info(kernel.op);
  const Shape shape = op.awkward(kernel.format, kernel.acts).back();
  const auto trial = op.trial(kernel.format, kernel.acts, shape, kSeed);
  for (const int threads : {1, 2, 3}) {
    trial->reset();
    trial->run(kernel, threads);
    const Checked checked = trial->check();
    EXPECT_TRUE(checked.passed()) << repro(kernel, shape) << " in " << threads << " threads: " << text(checked);
  }
}

TEST_P(Table, WritesItsRowsOnly) {
  each_shape([](const Kernel& kernel, Trial& trial, const Shape& shape) {
    const int first = trial.rows() / 3, last = std::max(first + 1, trial.rows() * 2 / 3);
    trial.reset();
    trial.run(kernel, first, last);
    const Checked checked = trial.check(first, last);
    EXPECT_TRUE(checked.passed()) << repro(kernel, shape) << " rows " << first << " to " << last << ": "
                                  << text(checked);
  });
}

TEST_P(Table, ToleranceRejectsALostProduct) {
  each_shape([](const Kernel& kernel, Trial& trial, const Shape& shape) {
    trial.run(kernel, 0, trial.rows());
    trial.lose_one_product();
    EXPECT_FALSE(trial.check().passed()) << repro(kernel, shape);
  });
}

std::vector<const Kernel*> all() {
  std::vector<const Kernel*> pointers;
  for (const Kernel& kernel : kernels()) pointers.push_back(&kernel);
  return pointers;
}

INSTANTIATE_TEST_SUITE_P(, Table, testing::ValuesIn(all()),
                         [](const auto& param) { return std::string(param.param->name); });

}  // namespace
}  // namespace assay::kernels
