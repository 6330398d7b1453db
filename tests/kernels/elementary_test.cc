// How far the kernels' own exponential and tanh lie from the exact ones, in units in the last place, over a sweep of
// floats. They are reached through ops: softcap with a cap of 1 is tanh, the sigmoid far below 0 is 1 / exp(-x).
#include <bit>
#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/registry.h"
#include "kernels/spec/activate.h"
#include "kernels/spec/softcap.h"

namespace assay::kernels {
namespace {

/// Every 499th float of magnitude 2^-20 to `largest`, of both signs.
std::vector<float> sweep(float largest) {
  std::vector<float> x;
  for (auto bits = std::bit_cast<std::uint32_t>(0x1p-20F); bits <= std::bit_cast<std::uint32_t>(largest); bits += 499) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  return x;
}

double ulps(float actual, double exact) {
  const double step = std::ldexp(1.0, std::max(-126, std::ilogb(exact)) - 23);
  return std::fabs(actual - exact) / step;
}

double worst(const std::vector<float>& x, const std::vector<float>& y, const std::function<double(double)>& exact) {
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) most = std::fmax(most, ulps(y[i], exact(x[i])));
  return most;
}

TEST(Elementary, TanhIsWithin3Ulp) {
  const std::vector<float> x = sweep(20);
  for (const Kernel& kernel : kernels()) {
    if (kernel.op != Op::softcap || !runnable(kernel)) continue;
    std::vector<float> y(x.size());
    function<spec::softcap>(kernel)(x.data(), 1, int(x.size()), y.data(), 0, 1);
    EXPECT_LE(worst(x, y, [](double v) { return std::tanh(v); }), 3) << kernel.name;
  }
}

TEST(Elementary, SigmoidIsWithin2UlpAndAHalf) {  // the exponential's 1, and half a one of the sum and of the quotient
  const std::vector<float> x = sweep(87);
  for (const Kernel& kernel : kernels()) {
    if (kernel.op != Op::activate || !runnable(kernel)) continue;
    std::vector<float> y(x.size());
    function<spec::activate>(kernel)(x.data(), Activation::sigmoid, int(x.size()), y.data(), 0, 1);
    EXPECT_LE(worst(x, y, [](double v) { return 1 / (1 + std::exp(-v)); }), 2.5) << kernel.name;
  }
}

}  // namespace
}  // namespace assay::kernels
