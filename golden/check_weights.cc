// Whether a checkpoint's weights expose their parameters: an engine that forgets one must come to another answer.
#include <algorithm>
#include <map>

#include "base/sha256.h"
#include "golden/check.h"

namespace assay {
namespace {

constexpr std::int64_t kShortRow = 4;  // shorter rows may agree by chance

bool constant(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == values.front(); });
}

void check_tensor(const std::string& name, const Tensor& tensor, std::vector<Finding>& findings) {
  const auto values = tensor.floats();
  if (!values || values->empty()) return;  // tables of integers are no parameters
  if (values->size() == 1) {
    if (values->front() == 0 || values->front() == 1)
      findings.push_back({name, "has its identity value, " + std::to_string(values->front())});
    return;
  }
  if (constant(*values)) {
    findings.push_back({name, "holds one value only, " + std::to_string(values->front())});
    return;
  }
  if (tensor.shape.size() < 2) return;
  const std::size_t rows = std::size_t(tensor.shape[0]), width = values->size() / rows;
  if (std::int64_t(width) < kShortRow) return;
  std::map<std::span<const float>, std::size_t, decltype([](std::span<const float> a, std::span<const float> b) {
             return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
           })>
      seen;
  for (std::size_t r = 0; r < rows; ++r) {
    const auto row = std::span<const float>(*values).subspan(r * width, width);
    if (constant(row)) {
      findings.push_back({name, "holds one value only in row " + std::to_string(r)});
      return;
    }
    if (const auto [other, fresh] = seen.emplace(row, r); !fresh) {
      findings.push_back({name, "has equal rows " + std::to_string(other->second) + " and " + std::to_string(r)});
      return;
    }
  }
}

}  // namespace

std::vector<Finding> check_weights(const Checkpoint& checkpoint) {
  std::vector<Finding> findings;
  std::map<std::string, std::string> contents;  // by hash
  for (const auto& [name, tensor] : checkpoint.tensors) {
    check_tensor(name, tensor, findings);
    if (tensor.elements() < kShortRow) continue;
    const auto [other, fresh] = contents.emplace(sha256_hex(tensor.bytes), name);
    if (!fresh) findings.push_back({name, "is the same as " + other->second});
  }
  return findings;
}

}  // namespace assay
