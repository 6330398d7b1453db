#include "kernels/spec/gemm.h"

#include "../simd/gemm_float.h"
#include "../simd/zmm.h"

namespace assay::kernels::cpu::avx512 {

void gemm_fp32_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesFp32>>(w, x, y, stride, first, last);
}
void gemm_bf16_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesBf16>>(w, x, y, stride, first, last);
}
void gemm_f16_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesF16>>(w, x, y, stride, first, last);
}
void gemm_q8_0_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesQ8_0>>(w, x, y, stride, first, last);
}
void gemm_q4_0_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesQ4_0>>(w, x, y, stride, first, last);
}
void gemm_q6_k_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesQ6_K>>(w, x, y, stride, first, last);
}
void gemm_i8_fp32(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<FloatKind<Zmm, ValuesI8>>(w, x, y, stride, first, last);
}
void gemm_bf16_bf16(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_float<WidenedKind<Zmm>>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::avx512
