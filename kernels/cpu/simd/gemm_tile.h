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

namespace assay::kernels::cpu {
namespace {

constexpr int kChunk = 192;       ///< words: 768 columns of int8, 384 of bf16, 192 of fp32
constexpr int kTokenBlock = 264;  ///< a multiple of every kTokens
constexpr int kGroup = 4;

template <class V>
constexpr int kPanelRows = 2 * V::kLanes;

/// Fetches rows of weights that the next panel is made of, a few lines a step while this panel is used: a core has some
/// two dozen fetches under way at most, and what else it misses waits behind them.
struct Ahead {
  const std::byte *row, *end;
  std::size_t stride, bytes;  ///< from row to row; wanted of each
  int lines;                  ///< of a step
  std::size_t at = 0;

  [[gnu::always_inline]] void step() {
    for (int i = 0; i < lines && row < end; ++i) {
      __builtin_prefetch(row + (at < bytes ? at : bytes - 1), 0, 2);  // rows begin anywhere in a line: one more each
      at += 64;
      if (at >= bytes + 64) {
        row += stride;
        at = 0;
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
///              kStarts numbers for each token that starts(x, token, col, cols, numbers) works out;
///              tile<T>(panel, numbers, x, token, col, cols, ahead, sums): adds nothing to what sums held; calls
///              ahead.step() some kSteps times
template <class V, class Kind>
void gemm_blocks(const Weights& w, const Activations& x, float* y, int stride, int first, int last) {
  alignas(64) std::byte panel[Kind::kPanelBytes];
  alignas(64) float buffers[kGroup][kTokenBlock * kPanelRows<V>];
  [[maybe_unused]] std::int32_t starts[kTokenBlock * Kind::kStarts + 1];
  const std::size_t ahead_bytes = Kind::row_bytes(Kind::kChunkCols);
  const std::size_t bytes = Kind::row_bytes(w.cols), y_stride = std::size_t(stride);
  const int blocks = (x.tokens + kTokenBlock - 1) / kTokenBlock, tile = Kind::kTokens;
  const int of_each = blocks == 0 ? 0 : ((x.tokens + blocks - 1) / blocks + tile - 1) / tile * tile;  // about equal
  for (int block = 0; block < x.tokens; block += of_each) {
    const int end = x.tokens - block < of_each ? x.tokens : block + of_each;
    const int steps = (end - block + tile - 1) / tile * Kind::kSteps;
    const int ahead_lines = (kPanelRows<V> * int(ahead_bytes / 64 + 2) + steps - 1) / steps;
    for (int group = first; group < last; group += kGroup * kPanelRows<V>)
      for (int col = 0; col < w.cols; col += Kind::kChunkCols) {
        const int cols = w.cols - col < Kind::kChunkCols ? w.cols - col : Kind::kChunkCols;
        const bool is_first = col == 0, is_last = col + cols == w.cols;
        if constexpr (Kind::kStarts > 0)
          for (int token = block; token < end; ++token)
            Kind::starts(x, token, col, cols, starts + (token - block) * Kind::kStarts);
        float(*buffer)[kTokenBlock * kPanelRows<V>] = buffers;
        for (int row = group; row < last && row < group + kGroup * kPanelRows<V>; row += kPanelRows<V>, ++buffer) {
          const int rows = last - row < kPanelRows<V> ? last - row : kPanelRows<V>;
          const std::byte* pointers[kPanelRows<V>];  // rows that do not exist are the last one again, and not stored
          for (int r = 0; r < kPanelRows<V>; ++r)
            pointers[r] = w.data + std::size_t(row + (r < rows ? r : rows - 1)) * bytes;
          Kind::pack(pointers, col, cols, panel);
          int token = block;
          // The panel that comes next: of this group, of the next chunk, or of the next group's first.
          const bool more = row + kPanelRows<V> < last && row + kPanelRows<V> < group + kGroup * kPanelRows<V>;
          const int next_row = more || is_last ? row + kPanelRows<V> : group;
          const int next_col = more ? col : is_last ? 0 : col + Kind::kChunkCols;
          const int end_ahead = next_row + kPanelRows<V> < w.rows ? next_row + kPanelRows<V> : w.rows;
          Ahead ahead{w.data + std::size_t(next_row) * bytes + Kind::row_bytes(next_col),
                      w.data + std::size_t(end_ahead) * bytes, bytes, ahead_bytes, ahead_lines};
          const auto one = [&]<int T>() __attribute__((always_inline)) {
            typename V::F sums[2][T];
            Kind::template tile<T>(panel, starts + (token - block) * Kind::kStarts, x, token, col, cols, ahead, sums);
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
