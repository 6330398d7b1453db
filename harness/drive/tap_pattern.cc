#include "harness/drive/tap_pattern.h"

#include <cstddef>

namespace assay {

bool tap_matches(std::string_view pattern, std::string_view name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name;
  if (!name.starts_with(pattern.substr(0, star))) return false;
  if (star + 1 == pattern.size()) return true;
  const std::string_view rest = pattern.substr(star + 1);
  for (std::size_t end = star; end <= name.size(); ++end) {
    if (tap_matches(rest, name.substr(end))) return true;
    if (end < name.size() && name[end] == '.') return false;
  }
  return false;
}

}  // namespace assay
