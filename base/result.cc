#include "base/result.h"

namespace assay {

std::string Failure::message() const {
  std::string text = where;
  const auto add = [&text](std::string_view separator, std::string_view part) {
    if (part.empty()) return;
    if (!text.empty()) text += separator;
    text += part;
  };
  add(": ", field);
  if (!expected.empty()) add(": ", "expected " + expected);
  if (!found.empty()) add(expected.empty() ? ": " : ", ", "found " + found);
  return text;
}

}  // namespace assay
