#include "engine/cpu/pages.h"

#include <linux/mman.h>  // MADV_COLLAPSE
#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

namespace assay::cpu {

Pages::~Pages() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

namespace {

constexpr std::size_t kPage = 4096, kHugePage = std::size_t{2} << 20;

std::size_t up_to(std::size_t multiple, std::uintptr_t n) { return (n + multiple - 1) / multiple * multiple; }

/// `bytes` of pages nobody uses. @param begin  a multiple of which they begin at
std::byte* reserve(std::size_t bytes, std::size_t begin) {
  const std::size_t spare = begin - kPage;
  void* const room =
      ::mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) throw std::bad_alloc();
  const auto at = reinterpret_cast<std::uintptr_t>(room);
  const std::size_t before = up_to(begin, at) - at, behind = spare - before;
  std::byte* const first = static_cast<std::byte*>(room) + before;
  if (before > 0) ::munmap(room, before);
  if (behind > 0) ::munmap(first + bytes, behind);
  return first;
}

}  // namespace

void Pages::grow(std::size_t bytes, bool huge) {
  bytes = up_to(kPage, bytes);
  if (bytes <= size_) return;
  huge = huge && bytes >= kHugePage;
  std::byte* const grown = reserve(bytes, bytes >= kHugePage ? kHugePage : kPage);
  if (data_ != nullptr && ::mremap(data_, size_, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, grown) == MAP_FAILED) {
    ::munmap(grown, bytes);
    throw std::bad_alloc();
  }
  if (huge) ::madvise(grown, bytes, MADV_HUGEPAGE);  // all of it: what two kinds of pages lie in could not be moved
  data_ = grown;
  size_ = bytes;
  collapsed_ = false;
}

void Pages::collapse() {
  if (std::exchange(collapsed_, true)) return;
  if (const std::size_t whole = size_ / kHugePage * kHugePage; whole > 0) ::madvise(data_, whole, MADV_COLLAPSE);
}

}  // namespace assay::cpu
