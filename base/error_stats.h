// How two tensors differ, in every statistic that a report shows. Not here: what differs too much means
// (harness/judge.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tolerance.h"

namespace assay {

struct ErrorStats {
  double max_abs = 0;        ///< largest |actual - expected|
  double max_rel = 0;        ///< largest |actual - expected| / |expected|, where expected is not 0
  double rms = 0;            ///< root mean square of the difference
  double nmse = 0;           ///< sum of squared differences / sum of squared expected values; 0 when both are 0
  double cosine = 1;         ///< of the two as vectors; 1 when both are 0
  double worst_ratio = 0;    ///< largest |difference| / (atol + rtol |expected|); above 1 is a mismatch
  std::int64_t max_ulp = 0;  ///< largest distance in representable floats
  std::size_t count = 0, mismatches = 0, not_finite = 0;  ///< not_finite counts actual values where expected is finite
  std::size_t worst = 0;           ///< index of worst_ratio, or of the first value that is not finite
  float expected = 0, actual = 0;  ///< at `worst`
  bool passed() const { return mismatches == 0 && not_finite == 0; }
};

/// Compares element by element; the spans have one length.
ErrorStats compare(std::span<const float> expected, std::span<const float> actual, Tolerance tolerance);

/// The distance of two floats in representable steps; NaN against anything is the largest value.
std::int64_t ulp_distance(float a, float b);

}  // namespace assay
