// Matrix-vector product of bfloat16 weights and activations.
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

/// kRows rows at a time share x; two sums a row hide the latency of a dot.
template <int kRows>
void some_rows(const Weights& w, const Activations& x, float* y, int row) {
  const auto* values = static_cast<const std::uint16_t*>(x.values);
  const auto* rows = reinterpret_cast<const std::uint16_t*>(w.data) + std::size_t(row) * std::size_t(w.cols);
  const std::size_t cols = std::size_t(w.cols);
  __m512 sums[kRows][2];
  for (auto& sum : sums) sum[0] = sum[1] = _mm512_setzero_ps();
  std::size_t c = 0;
  for (; c + 64 <= cols; c += 64) {
    const __m512bh x0 = bf16(_mm512_loadu_si512(values + c)), x1 = bf16(_mm512_loadu_si512(values + c + 32));
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const std::uint16_t* p = rows + std::size_t(r) * cols + c;
      _mm_prefetch(reinterpret_cast<const char*>(p + kRows * cols), _MM_HINT_T0);  // the rows that come next
      _mm_prefetch(reinterpret_cast<const char*>(p + kRows * cols + 32), _MM_HINT_T0);
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], bf16(_mm512_loadu_si512(p)), x0);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], bf16(_mm512_loadu_si512(p + 32)), x1);
    }
  }
  for (; c < cols; c += 32) {
    const __mmask32 mask = cols - c >= 32 ? ~0U : (1U << (cols - c)) - 1U;
    const __m512bh x0 = bf16(_mm512_maskz_loadu_epi16(mask, values + c));
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r)
      sums[r][0] =
          _mm512_dpbf16_ps(sums[r][0], bf16(_mm512_maskz_loadu_epi16(mask, rows + std::size_t(r) * cols + c)), x0);
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) y[row + r] = _mm512_reduce_add_ps(_mm512_add_ps(sums[r][0], sums[r][1]));
}

}  // namespace

void gemv_bf16_bf16(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  for (; r + 4 <= last; r += 4) some_rows<4>(w, x, y, r);
  for (; r < last; ++r) some_rows<1>(w, x, y, r);
}

}  // namespace assay::kernels::cpu::avx512_bf16
