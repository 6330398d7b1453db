// Attention on registers of any width (lanes.h): flash attention's blocks of keys, with a running maximum, so that no
// row of scores is ever whole. Ways to a block's scores and to its values:
//   Many  (prefill)  query rows: K is turned round once for all of them: a register holds a column of kWidth keys, no
//                    sums across lanes are left; V is widened once.
//   Few   (decode)   K and V are read once and straight from the cache, registers along the head's lanes; V's rows are
//                    asked for while K's are worked on.
// Not here: both with products of bfloat16 (attention_bf16.h).
#pragma once

#include <type_traits>

#include "kernels/spec/attention.h"
#include "kernels/spec/operands.h"
#include "lanes.h"
#include "prefetch.h"

namespace assay::kernels::cpu {
namespace {

constexpr int kKeys = 96;       ///< of a block, the most; a multiple of 32
constexpr int kManyRows = 12;   ///< from here on turning K round pays
constexpr int kPairs = kWidth;  ///< accumulators of the register tiles
constexpr int kTileRows = kPairs / 2;
constexpr int kLine = 64;  ///< bytes of the caches
constexpr float kEverything = __builtin_inff();

// A row of K or V, one head's part of it.
struct KvFp32 {
  static constexpr size_t bytes(int values) { return size_t(values) * 4; }
  static Lanes lanes(const std::byte* row, int i) { return load(reinterpret_cast<const float*>(row) + i); }
  static float one(const std::byte* row, int i) { return reinterpret_cast<const float*>(row)[i]; }
};
struct KvBf16 {
  static constexpr size_t bytes(int values) { return size_t(values) * 2; }
  static const uint16_t* bits(const std::byte* row, int i) { return reinterpret_cast<const uint16_t*>(row) + i; }
  static Lanes lanes(const std::byte* row, int i) { return widen_bf16(bits(row, i)); }
  static float one(const std::byte* row, int i) {
    const uint32_t wide = uint32_t{*bits(row, i)} << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
  }
};
struct KvQ8_0 {
  static constexpr size_t bytes(int values) { return size_t(values) / 32 * sizeof(BlockQ8_0); }
  static const BlockQ8_0& block(const std::byte* row, int i) { return reinterpret_cast<const BlockQ8_0*>(row)[i / 32]; }
  static Lanes lanes(const std::byte* row, int i) {
    const BlockQ8_0& b = block(row, i);
    return multiply(all(_cvtsh_ss(b.d)), widen_i8(b.q + i % 32));
  }
  static float one(const std::byte* row, int i) { return _cvtsh_ss(block(row, i).d) * float(block(row, i).q[i % 32]); }
};

struct Work {
  alignas(64) float y[kAttentionRows * kAttentionMaxDim];  ///< sums so far, rows of `padded` lanes
  alignas(64) float columns[kAttentionMaxDim * kKeys];     ///< K of a block, turned round
  alignas(64) float v[kKeys * kAttentionMaxDim];           ///< V of a block, widened
  alignas(64) float scores[kAttentionRows * kKeys];        ///< then weights
  alignas(64) float sum[kAttentionRows * kWidth];          ///< of weights so far, and
  alignas(64) float total[kAttentionRows * kWidth];        ///< of a block, in lanes
  alignas(64) float largest[kAttentionRows], top[kAttentionRows], down[kAttentionRows];
  alignas(64) float rounded[kAttentionRows * kAttentionMaxDim];  ///< q as bfloat16 has it, where it is so multiplied
  const float* q[kAttentionRows];
  int token[kAttentionRows];
  int from[kAttentionRows],
      to[kAttentionRows];  ///< keys of the block that a row sees: from <= key < to, none if to is 0
  const std::byte *k_rows[kKeys], *v_rows[kKeys];
  const std::byte* k_next[kKeys];  ///< of the block that follows, if only that of the call's next unit
  /// V of a key, while K's are worked on.
  void fetch_values(int key, int row_bytes) const {
    for (int at = 0; at < row_bytes; at += kLine) fetch_line(v_rows[key] + at);
  }
};

/// Asks for K of the next block, a little at a time: row after row, as memory likes it best.
template <class Kv>
class NextKeys {
 public:
  /// @param done  lanes of each of `keys` rows' `lanes` that have been asked for so far
  NextKeys(const Work& w, int keys, int done, int lanes)
      : row_bytes_(int(Kv::bytes(lanes))),
        row_(w.k_next + keys * int(Kv::bytes(done)) / row_bytes_),
        at_(keys * int(Kv::bytes(done)) % row_bytes_) {}
  template <int kBytes>
  void fetch() {
    constexpr int kTimes = (kBytes + kLine - 1) / kLine;  // 0 of half a block of Q8_0
#pragma GCC unroll 16
    for (int time = 0; time < kTimes; ++time) {
      fetch_line(*row_ + at_);
      at_ += kBytes / (kTimes > 0 ? kTimes : 1);
      if (at_ >= row_bytes_) at_ = 0, ++row_;
    }
  }

 private:
  int row_bytes_;
  const std::byte* const* row_;
  int at_;
};

/// Scores of R query rows, kPairs / R keys at a time: each pair a register, summed across at the end. What stands
/// behind the keys is whatever was there.
template <class Kv, int R>
[[gnu::noinline]] void few_scores(Work& w, int row, int d, int keys) {
  constexpr int kColumns = kPairs / R;
  for (int key = 0; key < keys; key += kColumns) {
    Lanes pairs[kPairs];
#pragma GCC unroll 16
    for (Lanes& pair : pairs) pair = zero();
    for (int i = 0; i < d; i += kWidth) {
      Lanes k[kColumns];
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) k[c] = Kv::lanes(w.k_rows[key + c], i);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Lanes q = load(w.q[row + r] + i);
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) pairs[r * kColumns + c] = fused(q, k[c], pairs[r * kColumns + c]);
      }
    }
    alignas(64) float dots[kPairs];
    store(dots, sums(pairs));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) memcpy(w.scores + (row + r) * kKeys + key, dots + r * kColumns, kColumns * 4);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns && row == 0; ++c) w.fetch_values(key + c, int(Kv::bytes(d)));
  }
}

/// Scores of R query rows and C registers of keys.
template <int R, int C>
[[gnu::noinline]] void many_scores(Work& w, int row, int first, int d) {
  Lanes scores[R][C];
#pragma GCC unroll 16
  for (auto& of_row : scores)
#pragma GCC unroll 16
    for (Lanes& s : of_row) s = zero();
  const float* column = w.columns + first;
  for (int i = 0; i < d; ++i, column += kKeys) {
    Lanes k[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) k[c] = load(column + c * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Lanes q = all(w.q[row + r][i]);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) scores[r][c] = fused(q, k[c], scores[r][c]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(w.scores + (row + r) * kKeys + first + c * kWidth, scores[r][c]);
}

/// Keys of a block that some of `rows` rows see.
struct Keys {
  int from = kKeys, to = 0;
};
inline Keys seen(const Work& w, int row, int rows) {
  Keys keys;
  for (int r = row; r < row + rows; ++r) {
    keys.from = w.from[r] < keys.from ? w.from[r] : keys.from;
    keys.to = w.to[r] > keys.to ? w.to[r] : keys.to;
  }
  return keys;
}

/// Sums of R rows, lanes [i, i + C kWidth): scaled down, plus this block's weights times V.
/// @tparam kFetches  K of the next block is asked for, too: as much as is read of V
template <class Kv, int R, int C, bool kFetches>
[[gnu::noinline]] void add_values(Work& w, int row, int i, int padded, Keys keys) {
  Lanes y[R][C];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
      y[r][c] = multiply(all(w.down[row + r]), load(w.y + (row + r) * padded + i + c * kWidth));
  [[maybe_unused]] NextKeys<Kv> next(w, keys.to, i, padded);
  for (int key = keys.from; key < keys.to; ++key) {
    Lanes v[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) v[c] = Kv::lanes(w.v_rows[key], i + c * kWidth);
    if constexpr (kFetches) next.template fetch<int(Kv::bytes(C * kWidth))>();
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Lanes weight = all(w.scores[(row + r) * kKeys + key]);
#pragma GCC unroll 16
      for (int c = 0; c < C; ++c) y[r][c] = fused(weight, v[c], y[r][c]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c) store(w.y + (row + r) * padded + i + c * kWidth, y[r][c]);
}

template <class Kv, int R, int C, bool kFetches>
void add_values_of_rows(Work& w, int row, int& i, int padded, Keys keys) {
  for (; i + C * kWidth <= padded; i += C * kWidth) add_values<Kv, R, C, kFetches>(w, row, i, padded, keys);
  if constexpr (C > 1) add_values_of_rows<Kv, R, C / 2, kFetches>(w, row, i, padded, keys);
}

/// use<R>(row) for rows in tiles of at most kMost, the largest that fit first.
template <int kMost, class Use>
void in_tiles(int rows, Use use) {
  int row = 0;
  for (; row + kMost <= rows; row += kMost) use.template operator()<kMost>(row);
  if constexpr (kMost > 4)
    if (row + 4 <= rows) use.template operator()<4>(row), row += 4;
  if constexpr (kMost > 2)
    if (row + 2 <= rows) use.template operator()<2>(row), row += 2;
  if constexpr (kMost > 1)
    if (row < rows) use.template operator()<1>(row);
}

/// use<C>(first) for registers of keys that are seen, three at a time.
template <class Use>
void each_registers(Keys keys, Use use) {
  const int end = (keys.to + kWidth - 1) / kWidth;
  for (int at = keys.from / kWidth; at < end; at += 3) {
    if (end - at >= 3) use.template operator()<3>(at * kWidth);
    if (end - at == 2) use.template operator()<2>(at * kWidth);
    if (end - at == 1) use.template operator()<1>(at * kWidth);
  }
}

/// A row of K after another, so that rows whose places in the cache collide are done with before others come.
template <class Kv>
[[gnu::noinline]] void turn_round(Work& w, int d, int keys) {
  for (int key = 0; key < keys; key += kWidth)
    for (int i = 0; i + kWidth <= d; i += kWidth) {
      Lanes square[kWidth];
#pragma GCC unroll 16
      for (int r = 0; r < kWidth; ++r) square[r] = Kv::lanes(w.k_rows[key + r], i);
      turn_square(square);
#pragma GCC unroll 16
      for (int c = 0; c < kWidth; ++c) store(w.columns + (i + c) * kKeys + key, square[c]);
    }
  for (int i = d / kWidth * kWidth; i < d; ++i)
    for (int key = 0; key < keys; ++key) w.columns[i * kKeys + key] = Kv::one(w.k_rows[key], i);
}

/// V to fp32, rows of `padded` lanes with zeros behind the head's; from then on v_rows point there.
template <class Kv>
[[gnu::noinline]] void widen_values(Work& w, int d, int padded, int keys) {
  if (std::is_same_v<Kv, KvFp32> && d == padded) return;  // they are so in the cache
  for (int key = 0; key < keys; ++key) {
    float* to = w.v + key * padded;
    int i = 0;
    for (; i + kWidth <= d; i += kWidth) store(to + i, Kv::lanes(w.v_rows[key], i));
    for (; i < padded; ++i) to[i] = i < d ? Kv::one(w.v_rows[key], i) : 0;
    w.v_rows[key] = reinterpret_cast<const std::byte*>(to);
  }
}

/// A row's scores, scaled, with -infinity for what it does not see, and the largest so far. Leaves what the sums so far
/// are to be scaled by as the exponent that it is the exponential of: scale_down() works them out for all rows at once.
inline void find_largest(const Attention& a, Work& w, int row, int begin, int registers) {
  float* scores = w.scores + row * kKeys;
  const int t = w.token[row];
  const int from = w.from[row], to = w.to[row];
  if (a.mask != nullptr) {
    const uint8_t* mask = a.mask + size_t(t) * size_t(a.mask_stride);
    for (int key = from; key < to; ++key)
      if (mask[begin + key - a.mask_first] == 0) scores[key] = -kEverything;
  }
  const bool whole = from == 0 && to == registers * kWidth;
  Lanes most = all(-kEverything);
  for (int i = 0; i < registers; ++i) {
    Lanes s = multiply(load(scores + i * kWidth), all(a.scale));
    if (!whole) s = keep_between(s, from - i * kWidth, to - i * kWidth, -kEverything);
    store(scores + i * kWidth, s);
    most = larger(most, s);
  }
  const float before = w.largest[row];
  const float now = _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(largest(most)), _mm_set_ss(before)));
  w.largest[row] = now;
  w.top[row] = now == -kEverything ? 0 : now;  // nothing seen yet: weights of exp(-infinity)
  w.down[row] = now == -kEverything ? 0 : before - now;
}

/// Scores to weights.
template <class Way>
void weigh(Work& w, int rows, int registers) {
  for (int r = 0; r < rows; ++r) {
    float* scores = w.scores + r * kKeys;
    const Lanes top = all(w.top[r]);
    Lanes total = zero();
    for (int i = 0; i < registers; ++i) {
      const Lanes weights = exponential(subtract(load(scores + i * kWidth), top));
      Way::keep_weights(scores, i, weights);
      total = add(total, weights);
    }
    store(w.total + r * kWidth, total);
  }
}

inline void scale_down(Work& w, int rows) {
  for (int r = 0; r < rows; r += kWidth) store(w.down + r, exponential(load(w.down + r)));
  for (int r = 0; r < rows; ++r) {
    float* sum = w.sum + r * kWidth;
    store(sum, fused(load(sum), all(w.down[r]), load(w.total + r * kWidth)));
  }
}

/// @tparam kRounds  q and the weights are rounded to bfloat16 before they multiply
template <bool kRounds>
struct Rounding {
  static void take_queries(Work& w, int rows, int d) {
    if constexpr (kRounds)
      for (int r = 0; r < rows; ++r) {
        float* to = w.rounded + r * kAttentionMaxDim;
        each_register(d,
                      [&](int i, int count) { store_some(to + i, rounded_bf16(load_some(w.q[r] + i, count)), count); });
        w.q[r] = to;
      }
  }
  static void keep_weights(float* of_row, int i, Lanes weights) {
    store(of_row + i * kWidth, kRounds ? rounded_bf16(weights) : weights);
  }
};

template <class Kv, bool kRounds>
struct Many : Rounding<kRounds> {
  static constexpr int kBlock = kKeys, kGrain = 32;
  static void scores(Work& w, int rows, int d, int keys) {
    turn_round<Kv>(w, d, keys);
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      each_registers(seen(w, row, R), [&]<int C>(int first) { many_scores<R, C>(w, row, first, d); });
    });
  }
  static void values(Work& w, int rows, int d, int padded, int keys) {
    widen_values<Kv>(w, d, padded, keys);
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      int i = 0;
      add_values_of_rows<KvFp32, R, (kPairs / R < 8 ? kPairs / R : 8), false>(w, row, i, padded, seen(w, row, R));
    });
  }
};

template <class Kv, bool kRounds>
struct Few : Rounding<kRounds> {
  /// K and V of so many, heads of 256, fill the first-level cache. Blocks hold about the same, as what is asked for in
  /// one is what the next one holds.
  static constexpr int kBlock = 48, kGrain = 4;
  static void scores(Work& w, int rows, int d, int keys) {
    in_tiles<kTileRows>(rows, [&]<int R>(int row) { few_scores<Kv, R>(w, row, d, keys); });
  }
  static void values(Work& w, int rows, int /*d*/, int padded, int keys) {
    in_tiles<kTileRows>(rows, [&]<int R>(int row) {
      int i = 0;
      add_values_of_rows<Kv, R, (kPairs / R < 8 ? kPairs / R : 8), true>(w, row, i, padded, {0, keys});
    });
  }
};

/// Where K and V of a unit's positions [begin, begin + keys) lie, and K of the positions behind them: the unit's, or
/// else those that the next unit begins with. @param block  rows to be found, whether there are so many keys or not
template <class Kv>
void find_rows(const Attention& a, const AttentionUnit& u, const AttentionUnit& next, int begin, int keys, int block,
               Work& w) {
  const size_t bytes = Kv::bytes(a.kv_heads * a.head_dim);
  const auto lane = [&](const AttentionUnit& unit) { return Kv::bytes(unit.kv_head * a.head_dim); };
  const auto after = [&](int slot) { return slot + 1 == a.capacity ? 0 : slot + 1; };
  int slot = begin % a.capacity;
  for (int key = 0; key < block; ++key) {  // behind the end the last key again, which nobody sees
    const size_t row = size_t(slot) * bytes + lane(u);
    w.k_rows[key] = a.k + row;
    w.v_rows[key] = a.v + row;
    if (key + 1 < keys) slot = after(slot);
  }
  const bool goes_on = begin + keys < u.end;
  slot = goes_on ? after(slot) : next.begin % a.capacity;
  const std::byte* const k = a.k + lane(goes_on ? u : next);
  for (int key = 0; key < block; ++key, slot = after(slot))  // where nothing follows: what is there costs no fetch
    w.k_next[key] = goes_on || next.begin + key < next.end ? k + size_t(slot) * bytes : w.k_rows[key];
}

/// Query rows [first, first + rows) of a unit. @param next  the unit that the call goes on with, without positions if
/// none
template <class Kv, class Way>
[[gnu::noinline]] void attend(const Attention& a, const AttentionUnit& u, const AttentionUnit& next, int chunks,
                              Work& w, int first, int rows) {
  const int group = a.heads / a.kv_heads, d = a.head_dim, padded = (d + kWidth - 1) / kWidth * kWidth;
  for (int r = 0; r < rows; ++r) {
    w.token[r] = u.token + (first + r) / group;
    const int head = u.kv_head * group + (first + r) % group;
    w.q[r] = a.q + (size_t(w.token[r]) * size_t(a.heads) + size_t(head)) * size_t(d);
    w.largest[r] = -kEverything;
    store(w.sum + r * kWidth, zero());
  }
  for (int i = 0; i < rows * padded; i += kWidth) store(w.y + i, zero());

  Way::take_queries(w, rows, d);
  const int blocks = (u.end - u.begin + Way::kBlock - 1) / Way::kBlock;
  const int each = blocks == 0 ? 0 : (u.end - u.begin + blocks - 1) / blocks;
  const int most = (each + Way::kGrain - 1) / Way::kGrain * Way::kGrain;
  for (int begin = u.begin; begin < u.end; begin += most) {
    const int keys = u.end - begin < most ? u.end - begin : most;
    find_rows<Kv>(a, u, next, begin, keys, Way::kBlock, w);
    for (int r = 0; r < rows; ++r) {
      const int from = a.from[w.token[r]] - begin, to = a.to[w.token[r]] - begin;
      w.from[r] = from > 0 ? from : 0;
      w.to[r] = to < keys ? to : keys;
      if (w.from[r] >= w.to[r]) w.from[r] = kKeys, w.to[r] = 0;
    }
    Way::scores(w, rows, d, keys);
    const int registers = (keys + kWidth - 1) / kWidth;
    for (int r = 0; r < rows; ++r) find_largest(a, w, r, begin, registers);
    weigh<Way>(w, rows, registers);
    scale_down(w, rows);
    Way::values(w, rows, d, padded, keys);
  }

  for (int r = 0; r < rows; ++r) {
    const int head = u.kv_head * group + (first + r) % group;
    const size_t row = size_t(w.token[r]) * size_t(a.heads) + size_t(head);
    float* y =
        chunks > 1 ? a.partial + (row * size_t(chunks) + size_t(u.chunk)) * size_t(d + 2) : a.y + row * size_t(d);
    const float total = sum(load(w.sum + r * kWidth));
    const Lanes inverse = all(total > 0 ? 1 / total : 0);
    each_register(d,
                  [&](int i, int count) { store_some(y + i, multiply(load(w.y + r * padded + i), inverse), count); });
    if (chunks > 1) y[d] = w.largest[r], y[d + 1] = total;
  }
}

template <class Kv, class ManyWay, class FewWay>
void attention_in_ways(const Attention& a, int first, int last) {
  Work work;
  const int chunks = attention_chunks(a), group = a.heads / a.kv_heads;
  for (int index = first; index < last; ++index) {
    const AttentionUnit u = attention_unit(a, index);
    const AttentionUnit next = index + 1 < last ? attention_unit(a, index + 1) : AttentionUnit{};
    for (int row = 0; row < u.tokens * group; row += kAttentionRows) {
      const int left = u.tokens * group - row, rows = left < kAttentionRows ? left : kAttentionRows;
      if (rows >= kManyRows || a.head_dim % kWidth != 0)
        attend<Kv, ManyWay>(a, u, next, chunks, work, row, rows);
      else
        attend<Kv, FewWay>(a, u, next, chunks, work, row, rows);
    }
  }
}

template <class Kv, bool kRounds = false>
[[maybe_unused]] void attention(const Attention& a, int first, int last) {
  attention_in_ways<Kv, Many<Kv, kRounds>, Few<Kv, kRounds>>(a, first, last);
}

}  // namespace
}  // namespace assay::kernels::cpu
