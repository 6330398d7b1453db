// Matrix-matrix products with int8 activations by vpdpbusd: panels of 32 rows made from llama.cpp's blocks as the file
// has them (kernels/cpu/simd/gemm_int8.h has the rest).
#include "kernels/spec/gemm.h"

#include "../simd/gemm_int8.h"
#include "../simd/zmm.h"

namespace assay::kernels::cpu::avx512_vnni {
namespace {

struct Dot {
  [[gnu::always_inline]] static __m512i dot(__m512i sums, __m512i weights, __m512i x) {
    // g++ 12 moves the intrinsic's sums between registers, at half the speed.
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(weights), "v"(x));
    return sums;
  }
};

/// Scales of 16 rows that lie `at` bytes from their starts, as fp32. Inserted one by one: a register read back from 16
/// short stores would wait for all of them.
[[gnu::always_inline]] inline __m512 gather_halves(const std::byte* const* rows, std::size_t at) {
  const auto half = [&](int i) __attribute__((always_inline)) {
    std::uint16_t bits;
    __builtin_memcpy(&bits, rows[i] + at, 2);
    return bits;
  };
  const auto eight = [&](int i) __attribute__((always_inline)) {
    __m128i v = _mm_cvtsi32_si128(half(i));
    v = _mm_insert_epi16(v, half(i + 1), 1);
    v = _mm_insert_epi16(v, half(i + 2), 2);
    v = _mm_insert_epi16(v, half(i + 3), 3);
    v = _mm_insert_epi16(v, half(i + 4), 4);
    v = _mm_insert_epi16(v, half(i + 5), 5);
    v = _mm_insert_epi16(v, half(i + 6), 6);
    return _mm_insert_epi16(v, half(i + 7), 7);
  };
  return _mm512_cvtph_ps(_mm256_setr_m128i(eight(0), eight(8)));
}

/// 16 bytes of each of 16 rows, `at` bytes from their starts: v[j] becomes bytes 4 j to 4 j + 3 of all rows. Rows i, i
/// + 4, i + 8 and i + 12 are loaded side by side, so that words change places within 128 bits only.
[[gnu::always_inline]] inline void turn_16(const std::byte* const* rows, std::size_t at, __m512i (&v)[4]) {
  const auto load = [&](int row) __attribute__((always_inline)) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[row] + at));
  };
  __m512i t[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_zextsi128_si512(load(i));
    t[i] = _mm512_mask_broadcast_i32x4(t[i], 0x00f0, load(i + 4));
    t[i] = _mm512_mask_broadcast_i32x4(t[i], 0x0f00, load(i + 8));
    t[i] = _mm512_mask_broadcast_i32x4(t[i], 0xf000, load(i + 12));
  }
  const __m512i low01 = _mm512_unpacklo_epi32(t[0], t[1]), high01 = _mm512_unpackhi_epi32(t[0], t[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(t[2], t[3]), high23 = _mm512_unpackhi_epi32(t[2], t[3]);
  v[0] = _mm512_unpacklo_epi64(low01, low23);
  v[1] = _mm512_unpackhi_epi64(low01, low23);
  v[2] = _mm512_unpacklo_epi64(high01, high23);
  v[3] = _mm512_unpackhi_epi64(high01, high23);
}

constexpr std::size_t kBlock = 2 * 64 * 9;  ///< of a panel, with one scale a row

/// A block of 32 signed bytes a row, made unsigned.
[[gnu::always_inline]] inline void turn_bytes(const std::byte* const* rows, std::size_t at, std::byte* panel) {
#pragma GCC unroll 2
  for (std::size_t half = 0; half < 2; ++half) {
    __m512i v[4];
    turn_16(rows, at + 16 * half, v);
#pragma GCC unroll 4
    for (std::size_t k = 0; k < 4; ++k)
      Zmm::store(panel + (4 * half + k) * 128, _mm512_xor_si512(v[k], _mm512_set1_epi8(char(0x80))));
  }
}

struct Q4_0 {
  static constexpr int kScales = 1, kExcess = 8;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ4_0); }
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    const __m512i four_bits = _mm512_set1_epi8(15);
    for (int b = block; b < block + blocks; ++b, panel += kBlock) {
      const std::size_t at = std::size_t(b) * sizeof(BlockQ4_0);
      __m512i v[4];
      turn_16(rows, at + 2, v);
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        Zmm::store(panel + k * 128, _mm512_and_si512(v[k], four_bits));
        Zmm::store(panel + (4 + k) * 128, _mm512_and_si512(_mm512_srli_epi16(v[k], 4), four_bits));
      }
      Zmm::store(reinterpret_cast<float*>(panel + 8 * 128), gather_halves(rows, at));
    }
  }
};

struct Q8_0 {
  static constexpr int kScales = 1, kExcess = 128;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 32) * sizeof(BlockQ8_0); }
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    for (int b = block; b < block + blocks; ++b, panel += kBlock) {
      const std::size_t at = std::size_t(b) * sizeof(BlockQ8_0);
      turn_bytes(rows, at + 2, panel);
      Zmm::store(reinterpret_cast<float*>(panel + 8 * 128), gather_halves(rows, at));
    }
  }
};

struct I8 {
  static constexpr int kScales = 1, kExcess = 128;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols); }
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    for (int b = block; b < block + blocks; ++b, panel += kBlock) {
      turn_bytes(rows, std::size_t(b) * 32, panel);
      Zmm::store(reinterpret_cast<float*>(panel + 8 * 128), _mm512_set1_ps(1));  // the tensor's scale multiplies sums
    }
  }
};

struct Q6_K {
  static constexpr int kScales = 2, kExcess = 32;
  static constexpr std::size_t bytes(int cols) { return std::size_t(cols / 256) * sizeof(BlockQ6_K); }
  /// Chunks are whole blocks of 256: 768 columns.
  static void pack(const std::byte* const* rows, int block, int blocks, std::byte* panel) {
    constexpr std::size_t kHalf = 2 * 64 * 5;  // of a panel's block: four words and their scale
    const __m512i four_bits = _mm512_set1_epi8(0x0f), two_bits = _mm512_set1_epi8(0x30);
    for (int super = block / 8; super < (block + blocks) / 8; ++super) {
      const std::size_t at = std::size_t(super) * sizeof(BlockQ6_K);
      float scales[16][16];  // [row][group]
      for (int i = 0; i < 16; ++i) {
        const auto& b = *reinterpret_cast<const BlockQ6_K*>(rows[i] + at);
        const __m512i integers = _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(b.scales)));
        _mm512_storeu_ps(scales[i], _mm512_mul_ps(_mm512_cvtepi32_ps(integers), _mm512_set1_ps(_cvtsh_ss(b.d))));
      }
      __m512i turned[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) turned[i] = _mm512_loadu_si512(scales[i]);
      Zmm::transpose(turned);
#pragma GCC unroll 16
      for (int g = 0; g < 16; ++g) Zmm::store(panel + std::size_t(g) * kHalf + 4 * 128, turned[g]);
      for (int quarter = 0; quarter < 4; ++quarter) {  // 64 values: as in gemv_q6_k_int8.cc
        __m512i v[16];
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
          const auto& b = *reinterpret_cast<const BlockQ6_K*>(rows[i] + at);
          const __m512i low = _mm512_loadu_si512(b.low + 64 * (quarter / 2));
          const __m512i high =
              _mm512_broadcast_i64x4(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.high + 32 * (quarter / 2))));
          const bool odd = quarter % 2 != 0;
          const __m512i nibbles = _mm512_and_si512(odd ? _mm512_srli_epi16(low, 4) : low, four_bits);
          const __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
          const __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
          const __m512i shifted = odd ? _mm512_srlv_epi16(high, right) : _mm512_sllv_epi16(high, left);
          v[i] = _mm512_ternarylogic_epi32(nibbles, shifted, two_bits, 0xf8);
        }
        Zmm::transpose(v);
#pragma GCC unroll 16
        for (int k = 0; k < 16; ++k) Zmm::store(panel + std::size_t(quarter * 4 + k / 4) * kHalf + (k % 4) * 128, v[k]);
      }
      panel += 16 * kHalf;
    }
  }
};

template <class Format>
void run(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  gemm_blocks<Zmm, Int8Kind<Zmm, Dot, Format>>(w, x, y, stride, first, last);
}

}  // namespace

void gemm_q8_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<Q8_0>(w, x, y, stride, first, last);
}
void gemm_q4_0_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<Q4_0>(w, x, y, stride, first, last);
}
void gemm_q6_k_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<Q6_K>(w, x, y, stride, first, last);
}
void gemm_i8_int8(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  run<I8>(w, x, y, stride, first, last);
}

}  // namespace assay::kernels::cpu::avx512_vnni
