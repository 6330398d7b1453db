// Attention with products of bfloat16, for AVX512-BF16, in the two ways of attention.h. q's lanes and the rows of
// weights lie in pairs as they are. Many rows: a register of K holds two neighbouring lanes of kWidth keys, one of V
// two neighbouring keys' kWidth lanes. Few: K's pairs are as the cache has them, V's are made of two keys on the way.
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

struct Pairs {
  static void take_queries(Work& w, int rows, int d) {
    const int stride = (d + 2 * kWidth - 1) / (2 * kWidth) * kWidth;  // whole lines; no more, or rows lie on more pages
    for (int r = 0; r < rows; ++r) {
      float* to = w.rounded + r * stride;
      for (int i = 0; i < d; i += kWidth) {  // zeros behind an odd last lane
        const Lanes q = load_some(w.q[r] + i, d - i < kWidth ? d - i : 0);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2), narrowed(q));
      }
      w.q[r] = to;
    }
  }
  /// In the place of the scores that they are made of.
  static void keep_weights(float* of_row, int i, Lanes weights) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(of_row + i * kWidth / 2), narrowed(weights));
  }
};

struct ManyPairs : Pairs {
  static constexpr int kBlock = kKeys, kGrain = 32;
  static void scores(Work& w, int rows, int d, int keys) {
    turn_round<KvPairs>(w, d / 2, keys);
    if (d % 2 != 0)
      for (int key = 0; key < keys; ++key) {
        const uint32_t last = *KvBf16::bits(w.k_rows[key], d - 1);
        memcpy(w.columns + d / 2 * kKeys + key, &last, 4);
      }
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      each_registers(seen(w, row, R), [&]<int C>(int first) { pair_scores<R, C>(w, row, first, (d + 1) / 2); });
    });
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
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      int i = 0;
      add_pairs_of_rows<R, (kPairs / R < 8 ? kPairs / R : 8)>(w, row, i, padded, seen(w, row, R));
    });
  }
};

/// few_scores() of attention.h, with K's pairs.
template <int R>
[[gnu::noinline]] void few_pair_scores(Work& w, int row, int d, int keys) {
  constexpr int kColumns = kPairs / R;
  const float* const q = w.q[row];
  const ptrdiff_t stride = R == 1 ? 0 : w.q[row + 1] - q;  // rows lie side by side (take_queries)
  const int whole = d / (2 * kWidth) * (2 * kWidth);
  for (int key = 0; key < keys; key += kColumns) {
    Lanes pairs[kPairs];
#pragma GCC unroll 16
    for (Lanes& pair : pairs) pair = zero();
    const std::byte *k_at[kColumns], *v_at[kColumns];
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) k_at[c] = w.k_rows[key + c], v_at[c] = w.v_rows[key + c];
    const auto step = [&](int i, const auto& loaded) __attribute__((always_inline)) {
      __m512i k[kColumns];
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        k[c] = loaded(k_at[c] + 2 * i);
        if (row == 0) fetch_line(v_at[c] + 2 * i);
      }
      const float* of_row = q + i / 2;
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r, of_row += stride) {
        const __m512i lanes = loaded(of_row);
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) pairs[r * kColumns + c] = dot(pairs[r * kColumns + c], k[c], lanes);
      }
    };
    for (int i = 0; i < whole; i += 2 * kWidth) step(i, load_pairs);
    if (whole < d) step(whole, [](const void* p) { return _mm512_maskz_loadu_epi32(0x00ff, p); });
    alignas(64) float dots[kPairs];
    store(dots, sums(pairs));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) memcpy(w.scores + (row + r) * kKeys + key, dots + r * kColumns, kColumns * 4);
  }
}

/// add_values() of attention.h for C registers of lanes, C even or 1, from two keys at a time.
template <int R, int C>
[[gnu::noinline]] void few_add_pairs(Work& w, int row, int i, int padded, int keys) {
  const __m512i of_two = _mm512_set1_epi32(0x00200000);  // a word of the first key, the same of the second
  const __m512i at = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i low = _mm512_add_epi32(_mm512_mullo_epi32(at, _mm512_set1_epi32(0x00010001)), of_two);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(0x00100010));
  const auto loaded = [](const std::byte* p) {
    return C == 1 ? _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))) : load_pairs(p);
  };
  Lanes y[R][C];
  float* of_row = w.y + row * padded + i;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r, of_row += padded)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) y[r][c] = multiply(all(w.down[row + r]), load(of_row + c * kWidth));
  NextKeys<KvBf16> next(w, keys, i, padded);
  const float* weights = w.scores + row * kKeys;
  const std::byte* const* rows = w.v_rows;
  const size_t lane = KvBf16::bytes(i);
  for (const std::byte* const* const end = rows + keys; rows < end; rows += 2, ++weights) {
    __m512i v[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; c += 2) {
      const __m512i even = loaded(rows[0] + lane + KvBf16::bytes(c * kWidth)),
                    odd = loaded(rows[1] + lane + KvBf16::bytes(c * kWidth));
      v[c] = _mm512_permutex2var_epi16(even, low, odd);
      if constexpr (C > 1) v[c + 1] = _mm512_permutex2var_epi16(even, high, odd);
    }
    next.fetch<2 * int(KvBf16::bytes(C * kWidth))>();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i weight = all_pairs(weights + r * kKeys);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) y[r][c] = dot(y[r][c], v[c], weight);
    }
  }
  of_row = w.y + row * padded + i;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r, of_row += padded)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(of_row + c * kWidth, y[r][c]);
}

template <int R, int C>
void few_add_pairs_of_rows(Work& w, int row, int& i, int padded, int keys) {
  for (; i + C * kWidth <= padded; i += C * kWidth) few_add_pairs<R, C>(w, row, i, padded, keys);
  if constexpr (C > 1) few_add_pairs_of_rows<R, C / 2>(w, row, i, padded, keys);
}

struct FewPairs : Pairs {
  static constexpr int kBlock = 48, kGrain = 4;  ///< as Few has
  static void scores(Work& w, int rows, int d, int keys) {
    in_tiles<kTileRows>(rows, [&]<int R>(int row) { few_pair_scores<R>(w, row, d, keys); });
  }
  static void values(Work& w, int rows, int /*d*/, int padded, int keys) {
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      int i = 0;
      few_add_pairs_of_rows<R, (kPairs / R < 8 ? kPairs / R : 8)>(w, row, i, padded, keys);
    });
  }
};

}  // namespace
}  // namespace assay::kernels::cpu
