#include "reports/samples.h"

#include <algorithm>
#include <cmath>

namespace assay {

double median(std::span<const double> values) {
  if (values.empty()) return 0;
  std::vector<double> sorted(values.begin(), values.end());
  const std::size_t half = sorted.size() / 2;
  std::sort(sorted.begin(), sorted.end());
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double mad(std::span<const double> values) {
  const double middle = median(values);
  std::vector<double> distances;
  distances.reserve(values.size());
  for (const double value : values) distances.push_back(std::fabs(value - middle));
  return median(distances);
}

bool settled(std::span<const double> values, std::size_t count, double share) {
  if (count == 0 || values.size() < 2 * count) return false;
  const double last = median(values.last(count));
  const double before = median(values.subspan(values.size() - 2 * count, count));
  return std::fabs(last - before) <= share * before;
}

}  // namespace assay
