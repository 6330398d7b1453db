#include "kernels/spec/gather.h"

#include "dot.h"

namespace assay::kernels::cpu::portable {
namespace {

template <class Row>
void gather(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  for (int t = first; t < last; ++t) {
    const std::byte* row = table.data + std::size_t(ids[t]) * Row::bytes(table.cols);
    float* out = y + std::size_t(t) * std::size_t(table.cols);
    for (int c = 0; c < table.cols; c += 32) {
      const int count = table.cols - c < 32 ? table.cols - c : 32;
      Row::values(row, c, count, table.scale, out + c);
      for (int i = 0; i < count; ++i) out[c + i] *= scale;
    }
  }
}

}  // namespace

void gather_fp32_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Fp32>(table, ids, scale, y, first, last);
}
void gather_bf16_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Bf16>(table, ids, scale, y, first, last);
}
void gather_f16_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<F16>(table, ids, scale, y, first, last);
}
void gather_q8_0_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Q8_0>(table, ids, scale, y, first, last);
}
void gather_q4_0_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Q4_0>(table, ids, scale, y, first, last);
}
void gather_q6_k_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<Q6_K>(table, ids, scale, y, first, last);
}
void gather_i8_fp32(const Weights& table, const std::int64_t* ids, float scale, float* y, int first, int last) {
  gather<I8>(table, ids, scale, y, first, last);
}

}  // namespace assay::kernels::cpu::portable
