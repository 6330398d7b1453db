#include "engine/cpu/pages.h"

#include <sys/mman.h>

#include <new>

namespace assay::cpu {

Pages::~Pages() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void Pages::grow(std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  bytes = (bytes + kPage - 1) / kPage * kPage;
  if (bytes <= size_) return;
  void* grown = data_ == nullptr
                    ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                    : ::mremap(data_, size_, bytes, MREMAP_MAYMOVE);
  if (grown == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(grown);
  size_ = bytes;
}

}  // namespace assay::cpu
