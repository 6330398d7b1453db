// What matrix-matrix kernels of every kind share: panels of weights, sums of a token block, the order of the loops. The
// kinds are gemm_float.h (fp32 and bf16 products) and gemm_int8.h. Internal linkage.
//
// A panel is kPanelRows rows by kChunk 32-bit words of weights, unpacked once, column by column, so that one load gives
// the weights of kLanes rows; it stays in the first-level cache while all tokens pass by. kGroup panels follow one
// another over the same chunk of the tokens, which stays in the second-level cache meanwhile, with what is worked out
// of it once. Sums of a block of tokens stay in a buffer between chunks: y's rows may be a power of two apart and would
// fight for the same lines of the cache.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/spec/gemm.h"
#include "prefetch.h"

namespace assay::kernels::cpu {
namespace {

constexpr int kChunk = 192;       ///< words: 768 columns of int8, 384 of bf16, 192 of fp32
constexpr int kTokenBlock = 264;  ///< a multiple of every kTokens
constexpr int kGroup = 4;

template <class V>
constexpr int kPanelRows = 2 * V::kLanes;

/// Fetches weights that come next, a few lines a step while others are used: a core has some two dozen fetches under
/// way at most, and what else it misses waits behind them.
/// @tparam kLines  of a row, where rows of a panel are fetched; few numbers, because they stay in registers
template <int kLines>
struct Ahead {
  const std::byte* at = nullptr;
  std::ptrdiff_t jump = 0;  ///< from a row's last line to the next row
  int left = kLines;        ///< lines of this row
  int todo = 0;             ///< lines of all rows
  int each = 0;             ///< lines of a step

  /// Rows `stride` apart, in so many steps.
  static Ahead rows(const std::byte* first, int count, std::size_t stride, int steps) {
    return {first, std::ptrdiff_t(stride) - kLines * 64, kLines, count * kLines, (count * kLines + steps - 1) / steps};
  }

  [[gnu::always_inline]] void step() {
    for (int i = 0; i < each && todo > 0; ++i) {
      fetch_line(at);
      at += 64;
      --todo;
      if (--left == 0) {
        at += jump;
        left = kLines;
      }
    }
  }
};

/// Sums of a tile on their way: to the buffer, or with what is there to y.
/// @param sums   [2][T]: kLanes rows each
/// @param rows   of the panel that exist
template <class V, int T>
[[gnu::always_inline]] inline void put(const typename V::F (&sums)[2][T], float* buffer, float* y, std::size_t stride,
                                       int rows, bool first_chunk, bool last_chunk, float scale) {
#pragma GCC unroll 12
  for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      float* kept = buffer + t * kPanelRows<V> + r * V::kLanes;
      const typename V::F sum = first_chunk ? sums[r][t] : V::add(V::loadf(kept), sums[r][t]);
      if (!last_chunk)
        V::store(kept, sum);
      else if (const int n = rows - r * V::kLanes; n > 0)
        V::store(y + std::size_t(t) * stride + r * V::kLanes, V::mul(sum, V::set(scale)), n);
    }
}

/// Runs a kind's tiles over everything.
/// @param Kind  kTokens; kChunkCols; pack(rows, col, cols, panel): rows[kPanelRows] point at rows of weights;
///              tile<T>(panel, x, token, col, cols, ahead, sums): adds nothing to what sums held; calls
///              ahead.step() some kSteps times; Fetch: an Ahead of a chunk's lines
template <class V, class Kind>
void gemm_blocks(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  static_assert(kTokenBlock % Kind::kTokens == 0, "whole tiles fit the buffers");
  alignas(64) std::byte panel[Kind::kPanelBytes];
  alignas(64) float buffers[kGroup][kTokenBlock * kPanelRows<V>];
  const std::size_t bytes = Kind::row_bytes(w.cols);
  const std::byte* const behind = w.next != nullptr ? w.next : w.data + std::size_t(last) * bytes;
  const std::size_t y_stride = std::size_t(stride);
  const int blocks = (x.tokens + kTokenBlock - 1) / kTokenBlock, tile = Kind::kTokens;
  const int of_each = blocks == 0 ? 0 : ((x.tokens + blocks - 1) / blocks + tile - 1) / tile * tile;  // about equal
  for (int block = 0; block < x.tokens; block += of_each) {
    const int end = x.tokens - block < of_each ? x.tokens : block + of_each;
    const int steps = (end - block + tile - 1) / tile * Kind::kSteps;  // of a panel
    for (int group = first; group < last; group += kGroup * kPanelRows<V>) {
      const int next_group = group + kGroup * kPanelRows<V>;
      const std::byte* const next_rows = next_group < last ? w.data + std::size_t(next_group) * bytes : behind;
      for (int col = 0; col < w.cols; col += Kind::kChunkCols) {
        const int cols = w.cols - col < Kind::kChunkCols ? w.cols - col : Kind::kChunkCols;
        const bool is_first = col == 0, is_last = col + cols == w.cols;
        float(*buffer)[kTokenBlock * kPanelRows<V>] = buffers;
        for (int row = group; row < last && row < next_group; row += kPanelRows<V>, ++buffer) {
          const int rows = last - row < kPanelRows<V> ? last - row : kPanelRows<V>;
          const std::byte* pointers[kPanelRows<V>];  // rows that do not exist are the last one again, and not stored
          for (int r = 0; r < kPanelRows<V>; ++r)
            pointers[r] = w.data + std::size_t(row + (r < rows ? r : rows - 1)) * bytes;
          Kind::pack(pointers, col, cols, panel);
          int token = block;
          // The panel that comes next: of this group, of the next chunk, or of the next group's first.
          const bool more = row + kPanelRows<V> < last && row + kPanelRows<V> < next_group;
          const std::byte* const from = more      ? pointers[0] + kPanelRows<V> * bytes + Kind::row_bytes(col)
                                        : is_last ? next_rows
                                                  : w.data + std::size_t(group) * bytes + Kind::row_bytes(col + cols);
          auto ahead = Kind::Fetch::rows(from, kPanelRows<V>, bytes, steps);
          const auto one = [&]<int T>() __attribute__((always_inline)) {
            typename V::F sums[2][T];
            Kind::template tile<T>(panel, x, token, col, cols, ahead, sums);
            put<V, T>(sums, *buffer + (token - block) * kPanelRows<V>, y + std::size_t(token) * y_stride + row,
                      y_stride, rows, is_first, is_last, w.scale);
          };
          for (; end - token >= tile; token += tile) one.template operator()<Kind::kTokens>();
          // What is left goes at once: a tile of one token takes nearly as long as one of four.
          const auto rest = [&]<int T>(const auto& self) __attribute__((always_inline)) {
            if (end - token == T)
              one.template operator()<T>();
            else if constexpr (T > 1)
              self.template operator()<T - 1>(self);
          };
          if (token < end) rest.template operator()<Kind::kTokens - 1>(rest);
        }
      }
    }
  }
}

/// kLanes rows' words, turned so that a register holds one word of each row.
/// @param get  get(row, word) gives kLanes words
template <class V, class Get>
[[gnu::always_inline]] inline void turn(int row, int word, std::byte* panel, std::size_t step, Get get) {
  typename V::I v[V::kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < V::kLanes; ++i) v[i] = get(row + i, word);
  V::transpose(v);
#pragma GCC unroll 16
  for (int i = 0; i < V::kLanes; ++i) V::store(panel + std::size_t(i) * step, v[i]);
}

}  // namespace
}  // namespace assay::kernels::cpu
