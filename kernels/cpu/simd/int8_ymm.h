// int8 activations on 256-bit registers: a block of 32 columns is one register. What differs between AVX2 and AVX-VNNI
// is the dot of bytes (Dot) and whether it takes all 256 values of the unsigned operand (Dot::kFull); where it does
// not, weights of 8 bits stay signed. Internal linkage.
#pragma once

#include <immintrin.h>

#include "gemm_int8.h"
#include "kernels/spec/gemv.h"
#include "prefetch.h"
#include "ymm.h"

namespace assay::kernels::cpu {
namespace {

[[gnu::always_inline]] inline __m256i load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

/// AVX2: pairs of bytes to 16 bits, which saturates above 127 * 255, pairs of those to 32.
struct PairsDot {
  static constexpr bool kFull = false;
  [[gnu::always_inline]] static __m256i dot(__m256i sums, __m256i weights, __m256i x) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(weights, x), _mm256_set1_epi16(1)));
  }
};
/// The same for signed weights: |w| times x with w's sign. |-128| is 128 as an unsigned byte; x is -127 at least.
struct SignedPairsDot {
  [[gnu::always_inline]] static __m256i dot(__m256i sums, __m256i weights, __m256i x) {
    return PairsDot::dot(sums, _mm256_abs_epi8(weights), _mm256_sign_epi8(x, weights));
  }
};
#ifdef __AVXVNNI__
struct VnniDot {
  static constexpr bool kFull = true;
  [[gnu::always_inline]] static __m256i dot(__m256i sums, __m256i weights, __m256i x) {
    // g++ 12 moves the intrinsic's sums between registers, at half the speed.
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sums) : "x"(weights), "x"(x));
    return sums;
  }
};
#endif

// Formats: quants(row, b) are block b's bytes; scales(row, b) what its products are multiplied by: lanes 0-3 are of the
// first half, 4-7 of the second. kTogether blocks are of one piece.

struct YmmQ4_0 {
  static constexpr int kScales = 1, kExcess = 8, kTogether = 1;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ4_0); }
  [[gnu::always_inline]] static __m256i quants(const std::byte* row, int b) {
    const auto* q = reinterpret_cast<const BlockQ4_0*>(row)[b].q;
    const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(q));
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(15));
  }
  [[gnu::always_inline]] static __m256 scales(const std::byte* row, int b) {
    return _mm256_set1_ps(_cvtsh_ss(reinterpret_cast<const BlockQ4_0*>(row)[b].d));
  }
};

/// 8-bit weights as Dot wants them.
template <class Dot>
struct YmmBytes {
  static constexpr int kScales = 1, kExcess = Dot::kFull ? 128 : 0, kTogether = 1;
  [[gnu::always_inline]] static __m256i from(const void* q) {
    return Dot::kFull ? _mm256_xor_si256(load32(q), _mm256_set1_epi8(char(0x80))) : load32(q);
  }
};

template <class Dot>
struct YmmQ8_0 : YmmBytes<Dot> {
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ8_0); }
  [[gnu::always_inline]] static __m256i quants(const std::byte* row, int b) {
    return YmmBytes<Dot>::from(reinterpret_cast<const BlockQ8_0*>(row)[b].q);
  }
  [[gnu::always_inline]] static __m256 scales(const std::byte* row, int b) {
    return _mm256_set1_ps(_cvtsh_ss(reinterpret_cast<const BlockQ8_0*>(row)[b].d));
  }
};

template <class Dot>
struct YmmI8 : YmmBytes<Dot> {
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols); }
  [[gnu::always_inline]] static __m256i quants(const std::byte* row, int b) {
    return YmmBytes<Dot>::from(row + 32 * b);
  }
  [[gnu::always_inline]] static __m256 scales(const std::byte*, int) { return _mm256_set1_ps(1); }  // the sum's
};

struct YmmQ6_K {
  static constexpr int kScales = 2, kExcess = 32, kTogether = 8;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 256) * sizeof(BlockQ6_K); }
  [[gnu::always_inline]] static __m256i quants(const std::byte* row, int b) {
    const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(row)[b / 8];
    const int half = b % 8 / 4, j = b % 4;
    const __m256i low = _mm256_srli_epi16(load32(block.low + 64 * half + 32 * (j % 2)), j >= 2 ? 4 : 0);
    const __m256i high = _mm256_srli_epi16(load32(block.high + 32 * half), 2 * j);
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(15)),
                           _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4));
  }
  [[gnu::always_inline]] static __m256 scales(const std::byte* row, int b) {
    const BlockQ6_K& block = reinterpret_cast<const BlockQ6_K*>(row)[b / 8];
    const float d = _cvtsh_ss(block.d);
    return _mm256_set_m128(_mm_set1_ps(d * float(block.scales[b % 8 * 2 + 1])),
                           _mm_set1_ps(d * float(block.scales[b % 8 * 2])));
  }
};

template <class Dot, class Format, int kRows>
void gemv_rows_int8(const Weights& w, const Activations& x, float* y, int row) {
  const std::size_t bytes = Format::bytes(w.cols);
  const std::byte* first = w.data + std::size_t(row) * bytes;
  const auto* values = static_cast<const std::int8_t*>(x.values);
  const std::size_t ahead = prefetch_distance(kRows * bytes);
  __m256 sums[kRows];
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  constexpr int kTogether = Format::kTogether;
  for (int b = 0; b < w.cols / 32; b += kTogether) {
    const std::byte* const piece = first + Format::bytes(32 * b);
    // Unrolled, so that where a block of several lies is known when this is compiled.
#pragma GCC unroll 8
    for (int i = 0; i < kTogether; ++i) {
      const __m256i v = load32(values + 32 * (b + i));
      // Minus the excess of eight bytes' products a lane, once for all rows.
      const __m256i start = Format::kExcess == 0
                                ? _mm256_setzero_si256()
                                : _mm256_mullo_epi32(PairsDot::dot(_mm256_setzero_si256(), _mm256_set1_epi8(1), v),
                                                     _mm256_set1_epi32(-Format::kExcess));
      const __m256 x_scale = _mm256_broadcast_ss(x.scales + b + i);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) {
        const std::byte* p = piece + std::size_t(r) * bytes;
        fetch_line(p + Format::bytes(256) * std::size_t(i) / 8 + ahead);
        const __m256i products = Dot::dot(start, Format::quants(p, i), v);
        sums[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(products), _mm256_mul_ps(Format::scales(p, i), x_scale), sums[r]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) y[row + r] = Ymm::sum(sums[r]) * w.scale;
}

template <class Dot, class Format>
[[maybe_unused]] void gemv_int8(const Weights& w, const Activations& x, float* y, int first, int last) {
  int r = first;
  for (; r + 4 <= last; r += 4) gemv_rows_int8<Dot, Format, 4>(w, x, y, r);
  for (; r < last; ++r) gemv_rows_int8<Dot, Format, 1>(w, x, y, r);
}

/// Format with the panels that Int8Kind wants.
template <class Format>
struct Packed : Format {
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    constexpr std::size_t kStep = 2 * 32;  // registers of two row groups take turns
    constexpr int kWords = 8 / Format::kScales;
    for (int b = block; b < block + blocks; ++b) {
      __m256i v[8];
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) v[i] = Format::quants(rows[i], b);
      Ymm::transpose(v);
      float scales[8][8];
      for (int i = 0; i < 8; ++i) _mm256_storeu_ps(scales[i], Format::scales(rows[i], b));
#pragma GCC unroll 2
      for (int s = 0; s < Format::kScales; ++s) {
#pragma GCC unroll 8
        for (int k = 0; k < kWords; ++k, panel += kStep) Ymm::store(panel, v[s * kWords + k]);
        for (int i = 0; i < 8; ++i) __builtin_memcpy(panel + 4 * i, &scales[i][4 * s], 4);
        panel += kStep;
      }
    }
  }
};

template <class Dot, class Format>
[[maybe_unused]] void gemm_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_blocks<Ymm, Int8Kind<Ymm, Dot, Packed<Format>>>(w, x, y, stride, first, last);
}

}  // namespace
}  // namespace assay::kernels::cpu
