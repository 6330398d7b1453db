#include "../simd/int8_ymm.h"

namespace assay::kernels::cpu::avx2 {

void gemm_q8_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<SignedPairsDot, YmmQ8_0<PairsDot>>(w, x, y, stride, first, last);
}
void gemm_q4_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<PairsDot, YmmQ4_0>(w, x, y, stride, first, last);
}
void gemm_q6_k_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<PairsDot, YmmQ6_K>(w, x, y, stride, first, last);
}
void gemm_i8_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<SignedPairsDot, YmmI8<PairsDot>>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::avx2
