// Repeated measurements of one thing, and what they say together. Not here: measuring.
#pragma once

#include <span>
#include <vector>

namespace assay {

/// 0 of nothing; the mean of the middle two of an even number.
double median(std::span<const double> values);
/// Median of the distances from the median: a spread that one interrupted repetition does not move.
double mad(std::span<const double> values);
/// Whether a quantity has stopped drifting: the medians of the last `count` and of the `count` before lie within
/// `share` of each other. False with fewer than 2 * count values.
bool settled(std::span<const double> values, std::size_t count, double share);

}  // namespace assay
