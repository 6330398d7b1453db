// Attention of many query rows with products of bfloat16, for AVX512-BF16. A register of K holds two neighbouring lanes
// of kWidth keys, one of V two neighbouring keys' kWidth lanes, and q's lanes and the rows of weights lie in pairs as
// they are. Not here: few rows, whose products are fp32 (attention.h).
#pragma once

#include "attention.h"

namespace assay::kernels::cpu {
namespace {

/// sum + the products of two pairs of bfloat16 in each lane.
[[gnu::always_inline]] inline Lanes dot(Lanes sum, __m512i a, __m512i b) {
  // As bits: g++ 12 has no casts to and from its vector of bfloat16.
  asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}
inline __m256i narrowed(Lanes x) {
  __m256i bits;
  asm("vcvtneps2bf16 %1, %0" : "=v"(bits) : "v"(x));
  return bits;
}
/// A pair in every lane.
inline __m512i all_pairs(const void* pair) {
  int32_t word;
  memcpy(&word, pair, 4);
  return _mm512_set1_epi32(word);
}
inline __m512i load_pairs(const void* p) { return _mm512_loadu_si512(p); }

/// Two lanes of a row of K, as one word.
struct KvPairs {
  static Lanes lanes(const std::byte* row, int i) { return load(reinterpret_cast<const float*>(row + size_t(i) * 4)); }
  static float one(const std::byte* row, int i) {
    float word;
    memcpy(&word, row + size_t(i) * 4, 4);
    return word;
  }
};

/// Scores of R query rows and C registers of keys, from `pairs` pairs of lanes.
template <int R, int C>
[[gnu::noinline]] void pair_scores(Work& w, int row, int first, int pairs) {
  Lanes scores[R][C];
#pragma GCC unroll 16
  for (auto& of_row : scores)
#pragma GCC unroll 16
    for (Lanes& s : of_row) s = zero();
  const float* column = w.columns + first;
  for (int i = 0; i < pairs; ++i, column += kKeys) {
    __m512i k[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) k[c] = load_pairs(column + c * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i q = all_pairs(w.q[row + r] + i);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) scores[r][c] = dot(scores[r][c], k[c], q);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(w.scores + (row + r) * kKeys + first + c * kWidth, scores[r][c]);
}

/// add_values() of attention.h, from pairs of keys.
template <int R, int C>
[[gnu::noinline]] void add_pairs(Work& w, int row, int i, int padded, Keys keys) {
  Lanes y[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
      y[r][c] = multiply(all(w.down[row + r]), load(w.y + (row + r) * padded + i + c * kWidth));
  const float *values = w.v + i, *weights = w.scores + row * kKeys;
  for (int pair = keys.from / 2; pair < (keys.to + 1) / 2; ++pair) {
    __m512i v[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) v[c] = load_pairs(values + pair * padded + c * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i weight = all_pairs(weights + r * kKeys + pair);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) y[r][c] = dot(y[r][c], v[c], weight);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(w.y + (row + r) * padded + i + c * kWidth, y[r][c]);
}

template <int R, int C>
void add_pairs_of_rows(Work& w, int row, int& i, int padded, Keys keys) {
  for (; i + C * kWidth <= padded; i += C * kWidth) add_pairs<R, C>(w, row, i, padded, keys);
  if constexpr (C > 1) add_pairs_of_rows<R, C / 2>(w, row, i, padded, keys);
}

struct ManyPairs {
  static void take_queries(Work& w, int rows, int d) {
    for (int r = 0; r < rows; ++r) {
      float* to = w.rounded + r * kAttentionMaxDim;
      for (int i = 0; i < d; i += kWidth) {  // zeros behind an odd last lane
        const Lanes q = load_some(w.q[r] + i, d - i < kWidth ? d - i : 0);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2), narrowed(q));
      }
      w.q[r] = to;
    }
  }
  static void scores(Work& w, int rows, int d, int /*keys*/) {
    turn_round<KvPairs>(w, d / 2);
    if (d % 2 != 0)
      for (int key = 0; key < kKeys; ++key) {
        const uint32_t last = *KvBf16::bits(w.k_rows[key], d - 1);
        memcpy(w.columns + d / 2 * kKeys + key, &last, 4);
      }
    in_tiles<8>(rows, [&]<int R>(int row) {
      const Keys keys = seen(w, row, R);
      const int first = keys.from / kWidth, registers = (keys.to + kWidth - 1) / kWidth - first;
      if (registers == 3) pair_scores<R, 3>(w, row, 0, (d + 1) / 2);
      if (registers == 2) pair_scores<R, 2>(w, row, first * kWidth, (d + 1) / 2);
      if (registers == 1) pair_scores<R, 1>(w, row, first * kWidth, (d + 1) / 2);
    });
  }
  /// In the place of the scores that they are made of.
  static void keep_weights(float* of_row, int i, Lanes weights) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(of_row + i * kWidth / 2), narrowed(weights));
  }
  static void values(Work& w, int rows, int d, int padded, int keys) {
    const int pairs = (keys + 1) / 2;  // the last may hold a key that nobody sees, with weight 0
    for (int pair = 0; pair < pairs; ++pair) {
      const uint16_t *even = KvBf16::bits(w.v_rows[2 * pair], 0), *odd = KvBf16::bits(w.v_rows[2 * pair + 1], 0);
      float* to = w.v + pair * padded;
      each_register(d, [&](int i, int count) {
        const Keep kept = count == 0 ? Keep(0xffff) : Keep((1U << count) - 1);
        const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(kept, even + i)),
                      high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(kept, odd + i));
        _mm512_storeu_si512(to + i, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
      });
    }
    in_tiles<8>(rows, [&]<int R>(int row) {
      int i = 0;
      add_pairs_of_rows<R, (kPairs / R < 8 ? kPairs / R : 8)>(w, row, i, padded, seen(w, row, R));
    });
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
