// Memory by pages: zero at first, untouched pages cost nothing, and growing moves page tables instead of bytes. For
// arenas and caches. Not here: what lies where.
#pragma once

#include <cstddef>
#include <utility>

namespace assay::cpu {

class Pages {
 public:
  Pages() = default;
  ~Pages();
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(collapsed_, other.collapsed_);
    return *this;
  }

  /// At least this many bytes; what was there stays, at a new address perhaps. Throws std::bad_alloc.
  /// @param huge  whole 2 MiB of it lie in pages of that size, where the system has them: for what is read from front
  ///              to back, where looking up small pages costs an eighth (K/V on Zen 4); touched by 2 MiB, then
  void grow(std::size_t bytes, bool huge = false);
  /// Moves what fills whole 2 MiB into pages of that size, for what has been touched all over: it takes no more memory
  /// then. Milliseconds the first time, nothing afterwards; nothing where the system cannot (before Linux 6.1).
  void collapse();
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool collapsed_ = false;
};

/// Cuts a piece of memory into arrays, each at a cache line. Run once without memory it tells how much they take.
class Carver {
 public:
  explicit Carver(std::byte* memory = nullptr) : memory_(memory) {}

  template <class T>
  T* take(std::size_t count) {
    T* at = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += (count * sizeof(T) + kLine - 1) / kLine * kLine;
    return at;
  }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kLine = 64;
  std::byte* memory_;
  std::size_t used_ = 0;
};

}  // namespace assay::cpu
