// How two sets of logits agree as distributions over tokens. Not here: how they differ as numbers (error_stats.h).
#pragma once

#include <cstddef>
#include <span>

namespace assay {

struct Agreement {
  std::size_t rows = 0;
  std::size_t same_top = 0;  ///< rows whose largest logit is the same token's; the lowest index wins ties
  double kl_mean = 0;        ///< of KL(expected || actual) over rows, in nats
  double kl_most = 0;
  bool operator==(const Agreement&) const = default;
};

/// Row by row, `columns` logits each; the spans have one length. NaN where logits are not finite.
Agreement agreement(std::span<const float> expected, std::span<const float> actual, std::size_t columns);

}  // namespace assay
