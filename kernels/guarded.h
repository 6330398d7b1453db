// Memory whose end is the end of what may be touched: the next byte is in a page that nobody may read, so that a kernel
// that reads or writes on crashes at once. Not here: memory of engines.
#pragma once

#include <cstddef>
#include <span>

namespace assay::kernels {

class Guarded {
 public:
  /// `bytes` zeroed bytes, as close to the guard page as `alignment` (a power of 2) lets their start be.
  /// Throws std::bad_alloc.
  explicit Guarded(std::size_t bytes, std::size_t alignment = 1);
  ~Guarded();
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_);
  }

 private:
  std::byte* map_;
  std::size_t mapped_;
  std::byte* data_;
  std::size_t size_;
};

}  // namespace assay::kernels
