#include "kernels/registry.h"

#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "kernels/op.h"
#include "kernels/spec/gemm.h"
#include "kernels/spec/gemv.h"

namespace assay::kernels {
namespace {

struct NoLimit : testing::Test {
  ~NoLimit() override { limit_isa({}); }
};
using Registry = NoLimit;

TEST_F(Registry, NamesAreTheirPartsAndUnique) {
  std::set<std::string_view> seen;
  for (const Kernel& kernel : kernels()) {
    const std::string parts = std::string(info(kernel.op).name) + "_" + std::string(name(kernel.format)) + "_" +
                              std::string(name(kernel.acts)) + "_" + std::string(name(kernel.isa));
    EXPECT_EQ(kernel.name, parts);
    EXPECT_TRUE(seen.insert(kernel.name).second) << kernel.name;
    EXPECT_EQ(find_kernel(kernel.name), &kernel);
  }
  EXPECT_EQ(find_kernel("gemv"), nullptr);
}

TEST_F(Registry, LinesAreInOrderSoThatReadersFindThem) {
  const auto key = [](const Kernel& kernel) { return std::tuple(kernel.op, kernel.format, kernel.acts, kernel.isa); };
  const auto table = kernels();
  for (std::size_t i = 1; i < table.size(); ++i)
    EXPECT_LT(key(table[i - 1]), key(table[i])) << table[i].name << " stands behind " << table[i - 1].name;
}

TEST_F(Registry, EveryKernelHasAPortableTwin) {
  for (const Kernel& kernel : kernels()) {
    limit_isa(Isa::portable);
    const Kernel* twin = best_kernel(kernel.op, kernel.format, kernel.acts);
    ASSERT_NE(twin, nullptr) << kernel.name;
    EXPECT_EQ(twin->isa, Isa::portable) << kernel.name;
  }
}

TEST_F(Registry, TakesTheLastThatRuns) {
  for (const Kernel& kernel : kernels()) {
    const Kernel* best = best_kernel(kernel.op, kernel.format, kernel.acts);
    ASSERT_NE(best, nullptr);
    EXPECT_TRUE(runnable(*best)) << best->name;
    if (runnable(kernel)) {
      EXPECT_GE(best->isa, kernel.isa) << kernel.name;
    }
  }
}

TEST_F(Registry, ALimitIsTakenExactlyElseWhatSuchAMachineCouldRun) {
  for (const Kernel& kernel : kernels()) {
    if (!runnable(kernel)) {
      EXPECT_FALSE(limit_isa(kernel.isa)) << kernel.name;
      continue;
    }
    ASSERT_TRUE(limit_isa(kernel.isa));
    EXPECT_EQ(best_kernel(kernel.op, kernel.format, kernel.acts), &kernel);
    for (const Kernel& other : kernels()) {
      const Kernel* best = best_kernel(other.op, other.format, other.acts);
      EXPECT_EQ(needs(best->isa) & ~needs(kernel.isa), 0U) << best->name << " under " << name(kernel.isa);
    }
  }
}

TEST_F(Registry, HandsOutTypedFunctions) {
  EXPECT_NE(best<spec::gemv>(Format::q4_0, Acts::int8), nullptr);
  EXPECT_NE(best<spec::gemm>(Format::bf16, Acts::bf16), nullptr);
  EXPECT_EQ(best<spec::gemv>(Format::fp32, Acts::int8), nullptr);  // nobody wants fp32 weights with int8 activations
}

TEST_F(Registry, ShapesComeBackFromTheirText) {
  const OpInfo& gemm = info(Op::gemm);
  const Shape shape{12288, 1536, 512};
  EXPECT_EQ(to_string(gemm, shape), "12288x1536x512");
  EXPECT_EQ(parse_shape(gemm, "12288x1536x512"), shape);
  for (const char* wrong : {"", "1x2", "1x2x3x4", "1x2x", "axbxc", "1 x2x3", "1x2x3 ", "1x2x99999999999"})
    EXPECT_FALSE(parse_shape(gemm, wrong)) << wrong;
}

TEST_F(Registry, OpsStandInTheOrderOfTheirIds) {
  for (std::size_t i = 0; i < ops().size(); ++i) EXPECT_EQ(ops()[i]->op, Op(i));
}

}  // namespace
}  // namespace assay::kernels
