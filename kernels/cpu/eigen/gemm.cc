// What a C++ user would write, to be compared with. Two things beyond that: Eigen starts no threads of its own, and W's
// rows pass in blocks of one size, padded with zeros: its kernels for left-over rows sum in another order, so that a
// row's bits would depend on where threads split.
#include "kernels/spec/gemm.h"

#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

namespace assay::kernels::cpu::eigen {
namespace {

template <class Scalar>
using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
constexpr int kRows = 192;  ///< a multiple of what Eigen's kernels take at a time: 24 with AVX2, 12 with NEON

template <class Scalar>
void run(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  const Eigen::Map<const RowMajor<float>> acts(static_cast<const float*>(x.values), x.tokens, w.cols);
  RowMajor<float> block = RowMajor<float>::Zero(kRows, w.cols);
  Eigen::MatrixXf products(kRows, x.tokens);
  for (int r = first; r < last; r += kRows) {
    const int rows = last - r < kRows ? last - r : kRows;
    const auto* stored = reinterpret_cast<const Scalar*>(w.data) + std::size_t(r) * std::size_t(w.cols);
    block.topRows(rows) = Eigen::Map<const RowMajor<Scalar>>(stored, rows, w.cols).template cast<float>();
    products.noalias() = block * acts.transpose();
    Eigen::Map<Eigen::MatrixXf, 0, Eigen::OuterStride<>>(y + r, rows, x.tokens, Eigen::OuterStride<>(stride)) =
        products.topRows(rows);
  }
}

}  // namespace

void gemm_fp32_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<float>(w, x, y, stride, first, last);
}
void gemm_bf16_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<Eigen::bfloat16>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::eigen
