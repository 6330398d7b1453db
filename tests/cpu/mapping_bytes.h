// What the system says of pages that a test looks at. Not here: tests.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace assay::cpu {

/// A number of bytes that the system keeps of the mapping that p lies in. @param key  of proc(5)'s smaps: `Rss`
inline std::size_t mapping_bytes(const void* p, const std::string& key) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    if (std::istringstream range(line); range >> std::hex >> first >> dash >> last && dash == '-')
      inside = first <= at && at < last;
    if (inside && line.starts_with(key + ":")) return std::stoul(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

/// Bytes in huge pages of the mapping that p lies in, which is memory of no file.
inline std::size_t huge_bytes(const void* p) { return mapping_bytes(p, "AnonHugePages"); }

}  // namespace assay::cpu
