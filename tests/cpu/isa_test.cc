// A session opened with an instruction set keeps its kernels, and leaves dispatch without a limit.
#include <gtest/gtest.h>

#include <limits>
#include <new>
#include <utility>

#include "engine/cpu/engine.h"
#include "engine/cpu/layers.h"
#include "kernels/registry.h"
#include "model_of_test.h"

namespace assay::cpu {
namespace {

using kernels::Acts;
using kernels::Format;

struct CpuIsa : testing::Test {
  CpuIsa() = default;
  CpuIsa(const CpuIsa&) = delete;
  CpuIsa& operator=(const CpuIsa&) = delete;
  ~CpuIsa() override { kernels::limit_isa({}); }
};

TEST_F(CpuIsa, LayersThatGrowKeepTheirKernels) {
  ASSERT_TRUE(kernels::limit_isa(kernels::Isa::portable));
  const Checkpoint checkpoint = test_checkpoint();
  Loader loader(checkpoint, Acts::bf16);
  std::vector<LayerWeights> weights = load_layers(loader, checkpoint.plan);
  ASSERT_TRUE(loader.finish());
  Layers layers =
      Layers::make(checkpoint.plan, std::move(weights), loader.widths(), {.acts = Acts::bf16, .threads = 1}).value();
  const OperandKernels portable = OperandKernels::best();
  kernels::limit_isa({});
  if (OperandKernels::best().to_bf16 == portable.to_bf16) GTEST_SKIP() << "this machine has portable kernels alone";
  layers.plan_rows(layers.rows() + 1);
  EXPECT_EQ(layers.buffers().operands.kernels.to_bf16, portable.to_bf16);
  EXPECT_EQ(layers.buffers().operands.kernels.to_int8, portable.to_int8);
  EXPECT_EQ(layers.buffers().operands.kernels.clamp, portable.clamp);
}

TEST_F(CpuIsa, OpeningThatThrowsLeavesNoLimit) {
  const kernels::Kernel* const before = kernels::best_kernel(kernels::Op::gemv, Format::bf16, Acts::fp32);
  const Options options{.isa = kernels::Isa::portable, .threads = std::numeric_limits<int>::max()};
  // So many threads' buffers are more than there are addresses.
  EXPECT_THROW(static_cast<void>(cpu_engine(options).open(test_checkpoint())), std::bad_alloc);
  EXPECT_EQ(kernels::best_kernel(kernels::Op::gemv, Format::bf16, Acts::fp32), before);
}

}  // namespace
}  // namespace assay::cpu
