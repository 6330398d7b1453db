#include "base/agreement.h"

#include <algorithm>
#include <cmath>

namespace assay {
namespace {

/// log(sum(exp(row)))
double log_sum(std::span<const float> row) {
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float value : row) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

double divergence(std::span<const float> expected, std::span<const float> actual) {
  const double of_expected = log_sum(expected), of_actual = log_sum(actual);
  double sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double log_p = expected[i] - of_expected, log_q = actual[i] - of_actual, p = std::exp(log_p);
    if (p > 0) sum += p * (log_p - log_q);
  }
  return std::isnan(sum) ? sum : std::max(sum, 0.0);  // rounding may leave less than nothing
}

}  // namespace

Agreement agreement(std::span<const float> expected, std::span<const float> actual, std::size_t columns) {
  Agreement out;
  for (std::size_t at = 0; columns > 0 && at + columns <= expected.size(); at += columns) {
    const auto e = expected.subspan(at, columns), a = actual.subspan(at, columns);
    const double kl = divergence(e, a);
    ++out.rows;
    out.same_top +=
        std::max_element(e.begin(), e.end()) - e.begin() == std::max_element(a.begin(), a.end()) - a.begin();
    out.kl_mean += kl;
    out.kl_most = std::isnan(kl) ? kl : std::max(out.kl_most, kl);
  }
  if (out.rows > 0) out.kl_mean /= double(out.rows);
  return out;
}

}  // namespace assay
