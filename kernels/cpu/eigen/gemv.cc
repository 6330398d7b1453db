// What a C++ user would write, to be compared with: bfloat16 is Eigen's own scalar type, cast on the way.
#include "kernels/spec/gemv.h"

#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>

namespace assay::kernels::cpu::eigen {
namespace {

template <class Scalar>
using Matrix = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
template <class Scalar>
using Vector = Eigen::Map<const Eigen::Matrix<Scalar, Eigen::Dynamic, 1>>;

template <class Scalar>
const Scalar* rows_from(const Weights& w, int first) {
  return reinterpret_cast<const Scalar*>(w.data) + std::size_t(first) * std::size_t(w.cols);
}

}  // namespace

void gemv_fp32_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  const Vector<float> v(static_cast<const float*>(x.values), w.cols);
  // A row at a time: Eigen's matrix-vector product sums rows in an order that depends on how many there are.
  for (int r = first; r < last; ++r) y[r] = Vector<float>(rows_from<float>(w, r), w.cols).dot(v);
}

void gemv_bf16_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  const Vector<float> v(static_cast<const float*>(x.values), w.cols);
  for (int r = first; r < last; ++r)
    y[r] = Vector<Eigen::bfloat16>(rows_from<Eigen::bfloat16>(w, r), w.cols).cast<float>().dot(v);
}

}  // namespace assay::kernels::cpu::eigen
