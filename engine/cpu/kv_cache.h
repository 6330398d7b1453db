// Keys and values of one layer, for every row of the batch, in fp32, bf16 or q8_0. A sliding layer keeps a ring that is
// a little longer than its window, so that a call of several tokens can be taken back; a full one keeps everything. Not
// here: which tokens there are (sequence.h), who reads them (layers.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/pages.h"
#include "kernels/formats.h"
#include "kernels/spec/narrow.h"

namespace assay::cpu {

class KvCache {
 public:
  /// Keys beyond the window that a ring holds at least, and the most that a call may add between two looks at it.
  static constexpr int kSpare = 64;

  /// @param width   kv_heads * head_dim; 0: a layer without K/V of its own
  /// @param window  of the layer; 0: full
  KvCache(int width, int window, kernels::Format format, kernels::spec::narrow::Fn* to_bf16)
      : width_(width), window_(window), format_(format), to_bf16_(to_bf16) {}

  void reset(int batch);
  /// Room for keys up to number `length`, of which `unit` are added at a time: what the first of them sees must still
  /// be there when the last is. Not to be called while threads look. Throws std::bad_alloc, and then changes nothing.
  void reserve(int length, int unit);
  /// Puts row b's key number `key` and its value in place of what was there. Threads may store different keys.
  /// @param k, v  [width]
  void store(int b, int key, const float* k, const float* v);
  /// Row b now has so many keys, in this order.
  void added(int b, int length);

  /// Whether row b could go back to `length` keys: what they see, and a drafter behind them, is still there.
  bool can_truncate(int b, int length) const;
  void truncate(int b, int length);

  // For kernels: key number p lies in row p % capacity().
  const std::byte* keys(int b) const { return sides_[0][std::size_t(b)].data(); }
  const std::byte* values(int b) const { return sides_[1][std::size_t(b)].data(); }
  int capacity() const { return capacity_; }
  int width() const { return width_; }
  kernels::Format format() const { return format_; }
  /// Of a key, and of a value.
  std::size_t row_bytes() const { return kernels::row_bytes(format_, width_); }
  /// Row b's first key that is still there.
  int held_from(int b) const { return held_[std::size_t(b)].from; }
  /// One of them as floats. @param side  0: a key; 1: a value
  void read(int side, int b, int key, std::span<float> out) const;

 private:
  struct Held {
    int from = 0, length = 0;
  };
  std::byte* slot(int side, int b, int key) const {
    return sides_[side][std::size_t(b)].data() + std::size_t(key % capacity_) * row_bytes();
  }
  void convert(const float* from, std::byte* to) const;

  int width_, window_;
  kernels::Format format_;
  kernels::spec::narrow::Fn* to_bf16_;
  int capacity_ = 0;
  std::vector<Held> held_;       ///< one a batch row
  std::vector<Pages> sides_[2];  ///< keys, values; one a batch row
};

}  // namespace assay::cpu
