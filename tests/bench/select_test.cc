#include "harness/kernel/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using kernels::Kernel;
using testing::HasSubstr;

TEST(Select, PatternsAreWholeParts) {
  const Kernel& kernel = *kernels::find_kernel("gemv_q4_0_int8_portable");
  for (const char* yes : {"gemv", "gemv_q4_0", "gemv_q4_0_int8", "gemv_q4_0_int8_portable"})
    EXPECT_TRUE(means(yes, kernel)) << yes;
  for (const char* no : {"", "gem", "gemv_q4", "gemv_q4_0_", "gemv_int8", "q4_0", "gemv_q4_0_int8_portable_x"})
    EXPECT_FALSE(means(no, kernel)) << no;
}

TEST(Select, NoPatternsMeanAllAndAWrongOneIsNamed) {
  const auto all = select_kernels({}, true);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->size(), kernels::kernels().size());
  const auto two = select_kernels({"read", "narrow_fp32_bf16"});
  ASSERT_TRUE(two);
  for (const Kernel* kernel : *two)
    EXPECT_TRUE(kernel->op == kernels::Op::read || kernel->name.starts_with("narrow_fp32_bf16")) << kernel->name;
  const auto wrong = select_kernels({"gemv", "gemx"});
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message(), HasSubstr("gemx"));
}

TEST(Select, RowsHoldEveryKernelOnceAndShowGaps) {
  std::size_t kernels = 0;
  for (const KernelRow& row : kernel_rows()) {
    kernels += row.kernels.size();
    ASSERT_FALSE(row.kernels.empty());
    for (const kernels::Isa gap : row.gaps)
      for (const Kernel* kernel : row.kernels) EXPECT_NE(kernel->isa, gap);
    ASSERT_NE(row.taken, nullptr);
    EXPECT_EQ(row.taken, kernels::best_kernel(row.op->op, row.format, row.acts));
  }
  EXPECT_EQ(kernels, kernels::kernels().size());
}

}  // namespace
}  // namespace assay
