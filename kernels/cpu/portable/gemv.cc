#include "kernels/spec/gemv.h"

#include "dot.h"

namespace assay::kernels::cpu::portable {

void gemv_fp32_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Fp32, ActsFp32>(w, x, y, first, last);
}
void gemv_bf16_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Bf16, ActsFp32>(w, x, y, first, last);
}
void gemv_f16_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<F16, ActsFp32>(w, x, y, first, last);
}
void gemv_bf16_bf16(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Bf16, ActsBf16>(w, x, y, first, last);
}
void gemv_q8_0_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Q8_0, ActsFp32>(w, x, y, first, last);
}
void gemv_q8_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Q8_0>(w, x, y, first, last);
}
void gemv_q4_0_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Q4_0, ActsFp32>(w, x, y, first, last);
}
void gemv_q4_0_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Q4_0>(w, x, y, first, last);
}
void gemv_q6_k_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<Q6_K, ActsFp32>(w, x, y, first, last);
}
void gemv_q6_k_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<Q6_K>(w, x, y, first, last);
}
void gemv_i8_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv<I8, ActsFp32>(w, x, y, first, last);
}
void gemv_i8_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_int8<I8>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::portable
