// All 65536 values of IEEE binary16 through every kernel that takes them as weights: subnormals, infinities and NaN
// too, of which trials (table_test.cc) have few or none.
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "base/widen.h"
#include "kernels/registry.h"
#include "kernels/spec/gather.h"
#include "kernels/spec/gemm.h"
#include "kernels/spec/gemv.h"

namespace assay::kernels {
namespace {

constexpr int kHalves = 1 << 16, kCols = 83;  ///< columns: a kernel's body, whole registers behind it, a part of one

/// Row h holds the value whose bits are h, each in another column than the row before, and zeros.
std::vector<std::uint16_t> one_a_row() {
  std::vector<std::uint16_t> table(std::size_t(kHalves) * kCols);
  for (std::size_t h = 0; h < kHalves; ++h) table[h * kCols + h % kCols] = std::uint16_t(h);
  return table;
}

Weights weights(const std::vector<std::uint16_t>& table) {
  return {reinterpret_cast<const std::byte*>(table.data()), kHalves, kCols, 1};
}

/// NaN of any kind for NaN: processors make quiet ones.
void expect_half(float actual, std::size_t half, const Kernel& kernel) {
  const float expected = widen_f16(std::uint16_t(half));
  ASSERT_TRUE(std::isnan(expected) ? std::isnan(actual) : actual == expected)
      << kernel.name << ": " << half << " is " << expected << ", found " << actual;
}

template <class Use>
void each_kernel(Op op, Use use) {
  int tried = 0;
  for (const Kernel& kernel : kernels()) {
    if (kernel.op != op || kernel.format != Format::f16 || !runnable(kernel)) continue;
    use(kernel);
    ++tried;
  }
  EXPECT_GE(tried, 1);
}

TEST(F16, EveryValueIsGathered) {
  const std::vector<std::uint16_t> table = one_a_row();
  std::vector<std::int64_t> ids(kHalves);
  std::iota(ids.begin(), ids.end(), 0);
  each_kernel(Op::gather, [&](const Kernel& kernel) {
    std::vector<float> y(table.size());
    function<spec::gather>(kernel)(weights(table), ids.data(), 1, y.data(), 0, kHalves);
    for (std::size_t h = 0; h < kHalves; ++h) {
      const float found = y[h * kCols + h % kCols];
      expect_half(found, h, kernel);
      ASSERT_EQ(std::signbit(found), h >= kHalves / 2) << kernel.name << ": " << h;
    }
  });
}

TEST(F16, EveryValueIsMultiplied) {
  const std::vector<std::uint16_t> table = one_a_row();
  const std::vector<float> ones(std::size_t(2) * kCols, 1.0F);
  each_kernel(Op::gemv, [&](const Kernel& kernel) {
    std::vector<float> y(kHalves);
    function<spec::gemv>(kernel)(weights(table), {ones.data(), nullptr, nullptr, 1, kCols}, y.data(), 0, kHalves);
    for (std::size_t h = 0; h < kHalves; ++h) expect_half(y[h], h, kernel);
  });
  each_kernel(Op::gemm, [&](const Kernel& kernel) {
    std::vector<float> y(std::size_t(2) * kHalves);
    function<spec::gemm>(kernel)(weights(table), {ones.data(), nullptr, nullptr, 2, kCols}, y.data(), kHalves, 0,
                                 kHalves);
    for (std::size_t i = 0; i < y.size(); ++i) expect_half(y[i], i % kHalves, kernel);
  });
}

}  // namespace
}  // namespace assay::kernels
