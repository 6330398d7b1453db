#include "engine/cpu/placement.h"

#include <linux/mman.h>  // MADV_POPULATE_READ, MADV_COLLAPSE
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "engine/cpu/pages.h"

namespace assay::cpu {
namespace {

/// What small pages cover without being looked up in memory, some times over.
constexpr std::size_t kWorthIt = std::size_t{64} << 20;
constexpr std::size_t kPage = 4096, kPiece = std::size_t{4} << 20;

/// A mapping of this process, as /proc/self/smaps has it.
struct Mapping {
  std::uintptr_t first = 0, last = 0;
  bool of_file = false;
  std::size_t resident = 0, huge = 0;  ///< bytes
};

std::vector<Mapping> mappings() {
  std::vector<Mapping> all;
  std::ifstream lines("/proc/self/smaps");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Mapping next;
    char dash = 0;
    std::string access, offset, device, key;
    std::uint64_t inode = 0;
    if (words >> std::hex >> next.first >> dash >> next.last && dash == '-') {
      words >> access >> offset >> device >> std::dec >> inode;
      next.of_file = inode != 0;
      all.push_back(next);
      continue;
    }
    words.clear();
    words.seekg(0);
    std::size_t kibibytes = 0;
    if (all.empty() || !(words >> key >> std::dec >> kibibytes)) continue;
    if (key == "Rss:") all.back().resident = kibibytes << 10;
    if (key == "AnonHugePages:" || key == "FilePmdMapped:" || key == "ShmemPmdMapped:")
      all.back().huge += kibibytes << 10;
  }
  return all;
}

/// Weights by where they lie: those of tied matrices once.
using Places = std::map<const std::byte*, std::vector<Matrix*>>;

std::size_t bytes_of(const Places& places) {
  std::size_t bytes = 0;
  for (const auto& [at, matrices] : places) bytes += matrices.front()->bytes;
  return bytes;
}

bool holds(const Mapping& mapping, const std::byte* p) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  return mapping.first <= at && at < mapping.last;
}

/// The pages that lie in a range, or all that it touches. What the system does not do is not missed.
void advise(const std::byte* from, std::size_t size, int advice, bool inside) {
  const std::size_t into = reinterpret_cast<std::uintptr_t>(from) % kPage, beyond = (into + size) % kPage;
  const std::byte *first = from - into, *last = from + size - beyond;
  if (inside && into > 0) first += kPage;
  if (!inside && beyond > 0) last += kPage;
  if (first < last) ::madvise(const_cast<std::byte*>(first), std::size_t(last - first), advice);
}

/// Takes out what no file is mapped for, which is gathered into huge pages where it is.
void gather(Places& places) {
  const std::vector<Mapping> all = mappings();
  std::erase_if(places, [&](const auto& place) {
    if (std::ranges::any_of(all, [&](const Mapping& one) { return one.of_file && holds(one, place.first); }))
      return false;
    advise(place.first, place.second.front()->bytes, MADV_COLLAPSE, true);
    return true;
  });
}

bool system_has_huge_pages() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string line;
  return std::getline(file, line) && line.find("[never]") == std::string::npos;
}

/// Whether most of the memory that the file has these weights in is huge pages, once all of them are there.
bool lies_in_huge_pages(const Places& places) {
  for (const auto& [at, matrices] : places) advise(at, matrices.front()->bytes, MADV_POPULATE_READ, false);
  std::size_t resident = 0, huge = 0;
  for (const Mapping& one : mappings()) {
    if (std::ranges::none_of(places, [&](const auto& place) { return holds(one, place.first); })) continue;
    resident += one.resident;
    huge += one.huge;
  }
  return huge >= resident - resident / 4;
}

bool is_worth_it(const Places& places) {
  const std::size_t bytes = bytes_of(places);
  const std::size_t available = available_memory().value_or(0);
  return bytes >= kWorthIt && bytes <= available / 2 && system_has_huge_pages() && !lies_in_huge_pages(places);
}

/// A copy of some weights. It keeps what it is a copy of, so that nothing else comes to lie there while it is in use.
struct Copy {
  Pages pages;
  std::vector<std::shared_ptr<const void>> of;
};

struct Piece {
  const std::byte* from;
  std::byte* to;
  std::size_t size;
};

/// On threads that end here, and not OpenMP's: a process that has run those may not fork children that run them too,
/// which is what becomes of a process that opens checkpoints.
void copy_all(std::span<const Piece> pieces) {
  std::atomic<std::size_t> taken = 0;
  const auto work = [&] {
    for (std::size_t i; (i = taken.fetch_add(1)) < pieces.size();) {
      const Piece& piece = pieces[i];
      std::memcpy(piece.to, piece.from, piece.size);
      advise(piece.from, piece.size, MADV_DONTNEED, true);
    }
  };
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < std::min<std::size_t>(std::thread::hardware_concurrency(), pieces.size()); ++i)
    others.emplace_back(work);
  work();
}

/// Copies that sessions read from, by what they are copies of.
using Copies = std::map<const std::byte*, std::weak_ptr<const std::byte>>;

void read_from(std::span<Matrix* const> matrices, const std::shared_ptr<const std::byte>& copy) {
  for (Matrix* matrix : matrices) {
    matrix->w.data = copy.get();
    matrix->keep = copy;
  }
}

void copy(const Places& places, Copies& copies) {
  const auto made = std::make_shared<Copy>();
  std::vector<Piece> pieces;
  Carver measure;
  for (const auto& [at, matrices] : places) measure.take<std::byte>(matrices.front()->bytes);
  made->pages.grow(measure.used(), true);
  Carver carver(made->pages.data());
  std::vector<std::byte*> starts;
  for (const auto& [at, matrices] : places) {
    const std::size_t bytes = matrices.front()->bytes;
    std::byte* const to = starts.emplace_back(carver.take<std::byte>(bytes));
    for (std::size_t done = 0; done < bytes; done += kPiece)
      pieces.push_back({at + done, to + done, std::min(kPiece, bytes - done)});
    made->of.push_back(matrices.front()->keep);
  }
  copy_all(pieces);
  for (auto start = starts.begin(); const auto& [at, matrices] : places) {
    const std::shared_ptr<const std::byte> here(made, *start++);
    copies[at] = here;
    read_from(matrices, here);
  }
}

/// Takes out those that there are copies of, which are read from then.
void share(Places& places, Copies& copies) {
  std::erase_if(copies, [](const auto& one) { return one.second.expired(); });
  std::erase_if(places, [&](const auto& place) {
    const auto found = copies.find(place.first);
    const auto here = found == copies.end() ? nullptr : found->second.lock();
    if (here) read_from(place.second, here);
    return here != nullptr;
  });
}

}  // namespace

void place(std::span<Matrix* const> matrices, Placement placement) {
  static std::mutex mutex;
  static Copies copies;
  if (placement == Placement::mapped) return;
  Places places;
  for (Matrix* matrix : matrices) places[matrix->w.data].push_back(matrix);
  const bool chosen = placement == Placement::copied;
  if (!chosen && bytes_of(places) < kWorthIt) return;
  const std::lock_guard lock(mutex);
  share(places, copies);
  gather(places);
  if (places.empty() || (!chosen && !is_worth_it(places))) return;
  try {
    copy(places, copies);
  } catch (const std::bad_alloc&) {
    if (chosen) throw;
  }
}

}  // namespace assay::cpu
