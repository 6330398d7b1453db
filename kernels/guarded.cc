#include "kernels/guarded.h"

#include <new>

#include <sys/mman.h>
#include <unistd.h>

namespace assay::kernels {

Guarded::Guarded(std::size_t bytes, std::size_t alignment) : size_(bytes) {
  const std::size_t page = std::size_t(sysconf(_SC_PAGESIZE));
  const std::size_t usable = (bytes + alignment + page - 1) / page * page;
  mapped_ = usable + page;
  void* map = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) throw std::bad_alloc();
  map_ = static_cast<std::byte*>(map);
  madvise(map_, usable, MADV_HUGEPAGE);  // a hint: small pages slow reading by a tenth, and roofs are to be limits
  if (mprotect(map_ + usable, page, PROT_NONE) != 0) {
    munmap(map_, mapped_);
    throw std::bad_alloc();
  }
  data_ = map_ + (usable - bytes) / alignment * alignment;
}

Guarded::~Guarded() { munmap(map_, mapped_); }

}  // namespace assay::kernels
