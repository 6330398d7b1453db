#include "../simd/int8_neon.h"

namespace assay::kernels::cpu::neon {

void gemv_q8_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<WideningDot, NeonQ8_0>(w, x, y, first, last);
}
void gemv_q4_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<WideningDot, NeonQ4_0>(w, x, y, first, last);
}
void gemv_q6_k_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<WideningDot, NeonQ6_K>(w, x, y, first, last);
}
void gemv_i8_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<WideningDot, NeonI8>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::neon
