#include "kernels/spec/gather.h"

#include "../simd/gather.h"
#include "../simd/ymm.h"

namespace assay::kernels::cpu::avx2 {

void gather_fp32_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesFp32>(table, ids, scale, y, first, last);
}
void gather_bf16_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesBf16>(table, ids, scale, y, first, last);
}
void gather_f16_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesF16>(table, ids, scale, y, first, last);
}
void gather_q8_0_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesQ8_0>(table, ids, scale, y, first, last);
}
void gather_q4_0_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesQ4_0>(table, ids, scale, y, first, last);
}
void gather_q6_k_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesQ6_K>(table, ids, scale, y, first, last);
}
void gather_i8_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Ymm, ValuesI8>(table, ids, scale, y, first, last);
}

}  // namespace assay::kernels::cpu::avx2
