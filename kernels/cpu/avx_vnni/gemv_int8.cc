#include "../simd/int8_ymm.h"

namespace assay::kernels::cpu::avx_vnni {

void gemv_q8_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<VnniDot, YmmQ8_0<VnniDot>>(w, x, y, first, last);
}
void gemv_q4_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<VnniDot, YmmQ4_0>(w, x, y, first, last);
}
void gemv_q6_k_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<VnniDot, YmmQ6_K>(w, x, y, first, last);
}
void gemv_i8_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<VnniDot, YmmI8<VnniDot>>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx_vnni
