#include "kernels/spec/gemm.h"

#include "dot.h"

namespace assay::kernels::cpu::portable {

void gemm_fp32_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Fp32, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_bf16_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Bf16, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_f16_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<F16, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_bf16_bf16(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Bf16, ActsBf16>(w, x, y, stride, first, last);
}
void gemm_q8_0_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Q8_0, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_q8_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<Q8_0>(w, x, y, stride, first, last);
}
void gemm_q4_0_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Q4_0, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_q4_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<Q4_0>(w, x, y, stride, first, last);
}
void gemm_q6_k_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<Q6_K, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_q6_k_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<Q6_K>(w, x, y, stride, first, last);
}
void gemm_i8_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm<I8, ActsFp32>(w, x, y, stride, first, last);
}
void gemm_i8_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_int8<I8>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::portable
