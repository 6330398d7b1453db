// Matrix-vector product of bfloat16 weights and activations. One row at a time: memory is read in one stream, which the
// hardware foresees (measured: four rows that share x, 82 % of read bandwidth; one, 98 %).
#include "kernels/spec/gemv.h"

#include <immintrin.h>
#include <cstddef>

namespace assay::kernels::cpu::avx512_bf16 {
namespace {

[[gnu::always_inline]] inline __m512bh bf16(__m512i bits) {
  __m512bh vector;
  __builtin_memcpy(&vector, &bits, sizeof vector);
  return vector;
}

}  // namespace

void gemv_bf16_bf16(const Weights& w, const Activations& x, float* y, int first, int last) {
  const auto* values = static_cast<const std::uint16_t*>(x.values);
  const std::size_t cols = std::size_t(w.cols);
  for (int row = first; row < last; ++row) {
    const auto* p = reinterpret_cast<const std::uint16_t*>(w.data) + std::size_t(row) * cols;
    __m512 sums[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};  // two hide the latency of a dot
    std::size_t c = 0;
    for (; c + 64 <= cols; c += 64)
#pragma GCC unroll 2
      for (std::size_t i = 0; i < 2; ++i)
        sums[i] = _mm512_dpbf16_ps(sums[i], bf16(_mm512_loadu_si512(p + c + 32 * i)),
                                   bf16(_mm512_loadu_si512(values + c + 32 * i)));
    for (; c < cols; c += 32) {
      const __mmask32 mask = cols - c >= 32 ? ~0U : (1U << (cols - c)) - 1U;
      sums[0] = _mm512_dpbf16_ps(sums[0], bf16(_mm512_maskz_loadu_epi16(mask, p + c)),
                                 bf16(_mm512_maskz_loadu_epi16(mask, values + c)));
    }
    y[row] = _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1]));
  }
}

}  // namespace assay::kernels::cpu::avx512_bf16
