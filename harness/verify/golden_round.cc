#include "harness/verify/golden_round.h"

#include <algorithm>

namespace assay {

RoundTokens round_of(const GoldenCase& golden, int batch) {
  RoundTokens round{.newest = {}, .drafted = golden.generated_ids};
  const std::size_t vocab = golden.logits.size() / std::size_t(batch);  // the target's
  if (vocab == 0) return round;
  for (std::size_t b = 0; b < std::size_t(batch); ++b) {
    const auto row = golden.logits.begin() + std::ptrdiff_t(b * vocab);
    round.newest.push_back(std::max_element(row, row + std::ptrdiff_t(vocab)) - row);
  }
  return round;
}

}  // namespace assay
