#include "harness/drive/greedy.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "harness/drive/drive.h"

namespace assay {

Result<std::vector<std::int64_t>> greedy(std::span<const float> logits, int rows, std::string_view tap) {
  const std::size_t vocab = logits.size() / std::size_t(rows);
  std::vector<std::int64_t> chosen;
  for (int r = 0; r < rows; ++r) {
    const std::span<const float> row = logits.subspan(std::size_t(r) * vocab, vocab);
    for (const float value : row)
      if (!std::isfinite(value))
        return fail(
            {Failure::bad_output, "engine", std::string(tap), std::string(kFiniteLogits), std::to_string(value)});
    chosen.push_back(std::max_element(row.begin(), row.end()) - row.begin());
  }
  return chosen;
}

void LastRows::take(TapId id, Rows<const float> rows) {
  if (id.tap == Tap::logits) {
    logits.assign(rows.data, rows.data + rows.size());
    return;
  }
  const int tokens = rows.rows / batch_;
  hidden.clear();
  for (int b = 0; b < batch_; ++b) {
    const std::span<const float> row = rows.row((b + 1) * tokens - 1);
    hidden.insert(hidden.end(), row.begin(), row.end());
  }
}

}  // namespace assay
