// Weights that kernels cannot take as they are stored.
#include "engine/cpu/matrix.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/guarded.h"

namespace assay::cpu {
namespace {

TEST(CpuMatrix, IntegersWhoseRowsEndInsideABlockAreReadNoFurtherThanTheyGo) {
  constexpr int kRows = 3, kCols = 40;
  constexpr float kScale = 0.5F;
  for (const kernels::Acts acts : {kernels::Acts::fp32, kernels::Acts::bf16, kernels::Acts::int8}) {
    kernels::Guarded bytes(std::size_t{kRows} * kCols);  // the next byte may not be read
    std::vector<std::int8_t> values(bytes.bytes().size());
    std::iota(values.begin(), values.end(), std::int8_t{-60});
    std::memcpy(bytes.data(), values.data(), values.size());
    Tensor tensor{.dtype = Dtype::i8, .shape = {kRows, kCols}, .bytes = bytes.bytes(), .keep = {}, .scale = kScale};
    const Matrix matrix = make_matrix(tensor, kRows, kCols, acts).value();
    EXPECT_EQ(matrix.acts, kernels::Acts::fp32) << "floats are multiplied by floats";
    const std::vector<float> x(std::size_t{kCols} + 64, 2);  // 64 readable bytes behind it, as the contract has it
    std::vector<float> y(kRows);
    matrix.gemv(matrix.w, {x.data(), nullptr, nullptr, 1, kCols}, y.data(), 0, kRows);
    for (int r = 0; r < kRows; ++r)
      EXPECT_EQ(y[std::size_t(r)],
                kScale * 2 * float(std::accumulate(values.begin() + r * kCols, values.begin() + (r + 1) * kCols, 0)));
  }
}

TEST(CpuMatrix, IntegersInWholeBlocksStayWhereTheyAre) {
  const std::vector<std::byte> bytes(2 * 64);
  Tensor tensor{.dtype = Dtype::i8, .shape = {2, 64}, .bytes = bytes, .keep = {}, .scale = 1.0F};
  EXPECT_EQ(make_matrix(tensor, 2, 64, kernels::Acts::fp32).value().w.data, bytes.data());
}

}  // namespace
}  // namespace assay::cpu
