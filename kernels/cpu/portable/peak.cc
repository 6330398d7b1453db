#include "kernels/spec/peak.h"

#include <cstdint>

namespace assay::kernels::cpu::portable {
namespace {

/// Ones that the compiler must take for anything.
template <class T>
T unknown_one() {
  volatile int one = 1;
  return T(one);
}

/// Eight vectors of sums at a time: as many as SSE2 and NEON have registers for, beside the operands.
template <class T, class Sum>
void multiply(int steps, float* y, int first, int last) {
  constexpr int kSums = 32;
  const T a = unknown_one<T>(), b = unknown_one<T>();
  for (int r = first; r < last; ++r) {
    Sum sums[kSums] = {};
    T factors[kSums];
    for (T& factor : factors) factor = a;
    for (int s = 0; s < steps * (spec::kPeakProducts / kSums); ++s) {
      for (int i = 0; i < kSums; ++i) sums[i] += Sum(factors[i] * b);
      asm volatile("" ::: "memory");  // else the compiler multiplies by the number of steps
    }
    float sum = 0;
    for (const Sum lane : sums) sum += float(lane);
    y[r] = sum;
  }
}

}  // namespace

void peak_fp32_fp32(int steps, float* y, int first, int last) { multiply<float, float>(steps, y, first, last); }
// The baseline has no bfloat16 products: they are fp32 products.
void peak_fp32_bf16(int steps, float* y, int first, int last) { multiply<float, float>(steps, y, first, last); }
void peak_fp32_int8(int steps, float* y, int first, int last) {
  multiply<std::int16_t, std::int32_t>(steps, y, first, last);
}

}  // namespace assay::kernels::cpu::portable
