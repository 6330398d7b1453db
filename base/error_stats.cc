#include "base/error_stats.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace assay {

std::int64_t ulp_distance(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<std::int64_t>::max();
  // Maps the bits to integers in the order of the floats: -0 and +0 fall together.
  const auto ordered = [](float v) {
    const auto bits = std::bit_cast<std::int32_t>(v);
    return bits < 0 ? std::int64_t{std::numeric_limits<std::int32_t>::min()} - bits : std::int64_t{bits};
  };
  return std::abs(ordered(a) - ordered(b));
}

ErrorStats compare(std::span<const float> expected, std::span<const float> actual, Tolerance tolerance) {
  ErrorStats stats;
  stats.count = expected.size();
  double squares = 0, expected_squares = 0, actual_squares = 0, product = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double e = expected[i], a = actual[i];
    if (!std::isfinite(a) && std::isfinite(e)) {
      if (stats.not_finite++ == 0) {
        stats.worst = i;
        stats.expected = expected[i];
        stats.actual = actual[i];
      }
      continue;
    }
    const double difference = a == e ? 0 : std::abs(a - e);  // equal infinities do not differ
    const double allowed = tolerance.atol + tolerance.rtol * std::abs(e);
    const double ratio =
        difference == 0 ? 0 : (allowed > 0 ? difference / allowed : std::numeric_limits<double>::infinity());
    if (!(ratio <= 1)) ++stats.mismatches;
    if (stats.not_finite == 0 && (ratio > stats.worst_ratio || i == 0)) {
      stats.worst_ratio = ratio;
      stats.worst = i;
      stats.expected = expected[i];
      stats.actual = actual[i];
    }
    stats.max_abs = std::max(stats.max_abs, difference);
    if (e != 0) stats.max_rel = std::max(stats.max_rel, difference / std::abs(e));
    if (difference != 0) stats.max_ulp = std::max(stats.max_ulp, ulp_distance(expected[i], actual[i]));
    squares += difference * difference;
    expected_squares += e * e;
    actual_squares += a * a;
    product += e * a;
  }
  if (stats.count > 0) stats.rms = std::sqrt(squares / double(stats.count));
  if (squares > 0)
    stats.nmse = expected_squares > 0 ? squares / expected_squares : std::numeric_limits<double>::infinity();
  if (expected_squares > 0 || actual_squares > 0) {
    const double norms = std::sqrt(expected_squares) * std::sqrt(actual_squares);
    stats.cosine = norms > 0 ? product / norms : 0;
  }
  return stats;
}

}  // namespace assay
