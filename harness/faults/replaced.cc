#include "harness/faults/replaced.h"

namespace assay {

std::string replaced(std::string_view text, std::string_view part, std::string_view by) {
  std::string out;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part)) {
    (out += text.substr(0, at)) += by;
    text.remove_prefix(at + part.size());
  }
  return out += text;
}

}  // namespace assay
