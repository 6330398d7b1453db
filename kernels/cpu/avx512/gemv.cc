#include "kernels/spec/gemv.h"

#include "../simd/gemv_float.h"
#include "../simd/zmm.h"

namespace assay::kernels::cpu::avx512 {

void gemv_fp32_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesFp32, ValuesFp32>(w, x, y, first, last);
}
void gemv_bf16_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesBf16, ValuesFp32>(w, x, y, first, last);
}
void gemv_f16_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesF16, ValuesFp32>(w, x, y, first, last);
}
void gemv_q8_0_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesQ8_0, ValuesFp32>(w, x, y, first, last);
}
void gemv_q4_0_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesQ4_0, ValuesFp32>(w, x, y, first, last);
}
void gemv_q6_k_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesQ6_K, ValuesFp32>(w, x, y, first, last);
}
void gemv_i8_fp32(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesI8, ValuesFp32>(w, x, y, first, last);
}
void gemv_bf16_bf16(const Weights& w, const Activations& x, float* y, int first, int last) {
  gemv_float<Zmm, ValuesBf16, ValuesBf16>(w, x, y, first, last);
}

}  // namespace assay::kernels::cpu::avx512
