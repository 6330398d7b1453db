#include "engine/cpu/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace assay::cpu {

void KvCache::reset(int batch) {
  held_.assign(std::size_t(batch), {});
  for (auto& side : sides_)
    if (side.size() != std::size_t(batch)) {
      side = std::vector<Pages>(std::size_t(batch));
      capacity_ = 0;
    }
}

void KvCache::reserve(int length, int unit) {
  if (width_ == 0) return;
  // A drafter sees window + 1 keys of what is there, none of them its own.
  int needed = window_ > 0 ? window_ + 1 + std::max(unit, kSpare) : length;
  if (needed <= capacity_) return;
  if (window_ == 0) needed = std::max(needed + 256, capacity_ + capacity_ / 2);  // untouched pages cost nothing
  const std::size_t bytes = std::size_t(needed) * row_bytes();
  const bool huge = window_ == 0;  // rings, which short prompts hardly fill, are collapsed when they are full
  const auto has_turned = [this](std::size_t b) { return window_ > 0 && held_[b].length > capacity_; };
  std::vector<Pages> turned;  // each takes its ring's place when all have room: what throws until then changes nothing
  for (int side = 0; side < 2; ++side)
    for (std::size_t b = 0; b < held_.size(); ++b) {
      if (!has_turned(b)) {  // key p lies in row p as before
        sides_[side][b].grow(bytes, huge);
        continue;
      }
      Pages& longer = turned.emplace_back();
      longer.grow(bytes);
      for (int key = held_[b].from; key < held_[b].length; ++key)
        std::memcpy(longer.data() + std::size_t(key % needed) * row_bytes(), slot(side, int(b), key), row_bytes());
    }
  auto next = turned.begin();
  for (auto& side : sides_)
    for (std::size_t b = 0; b < held_.size(); ++b)
      if (has_turned(b)) side[b] = std::move(*next++);
  capacity_ = needed;
}

void KvCache::convert(const float* from, std::byte* to) const {
  switch (format_) {
    case kernels::Format::fp32: std::memcpy(to, from, std::size_t(width_) * sizeof(float)); break;
    case kernels::Format::bf16: to_bf16_(from, width_, {to, nullptr, nullptr}, 0, 1); break;
    default: kernels::quantize(format_, {from, std::size_t(width_)}, to); break;
  }
}

void KvCache::store(int b, int key, const float* k, const float* v) {
  convert(k, slot(0, b, key));
  convert(v, slot(1, b, key));
}

void KvCache::added(int b, int length) {
  Held& held = held_[std::size_t(b)];
  held.length = length;
  held.from = std::max(held.from, length - capacity_);
  if (window_ > 0 && length >= capacity_)
    for (auto& side : sides_) side[std::size_t(b)].collapse();
}

bool KvCache::can_truncate(int b, int length) const {
  const Held& held = held_[std::size_t(b)];
  if (width_ == 0 || held.from == 0) return true;
  return held.from <= length - (window_ + 1);
}

void KvCache::truncate(int b, int length) {
  held_[std::size_t(b)].length = length;
  if (length == 0) held_[std::size_t(b)].from = 0;
}

void KvCache::read(int side, int b, int key, std::span<float> out) const {
  kernels::dequantize(format_, slot(side, b, key), 1, out);
}

}  // namespace assay::cpu
