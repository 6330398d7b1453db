// How far kernels' results may lie from the exact ones, as named functions with their reasons. Not here: engines' and
// taps' (base/tolerance.h).
#pragma once

#include <cmath>

#include "base/tolerance.h"

namespace assay::kernels {

/// How far an fp32 dot product may lie from the exact one, in any order, with or without FMA.
/// Each step rounds by at most 2^-24 of its partial sum; like a random walk, that grows to sqrt(terms). Eight times as
/// much has probability below 2 * terms * exp(-32) (after Higham and Mary 2019). Dot instructions for bfloat16 may
/// flush each product and sum below 2^-126. Its test: a sum that lost one product exceeds it.
/// @param partial  the largest partial sum the oracle met; not |y|, which cancellation shrinks
inline Tolerance dot_fp32(int terms, double partial) {
  return {.atol = 8 * std::sqrt(double(terms)) * 0x1p-24 * partial + 2 * terms * 0x1p-126};
}

/// Roundings one after another: each moves a value by at most 2^-24 of it. Subnormals round to multiples of 2^-149 and
/// may be flushed once.
/// @param steps      roundings; a library's function counts its error in ULP, twice where it is 2 ULP
/// @param magnitude  the largest value on the way; not the result, which cancellation shrinks
inline Tolerance rounded(double steps, double magnitude) {
  return {.atol = steps * 0x1p-24 * std::fabs(magnitude) + 0x1p-126};
}

/// A value divided by the root of a mean of squares (or of squares of differences from the mean): the sum of squares
/// errs as a dot product does, the root by half as much relatively, and four roundings follow. Its test: a row that
/// lost one square exceeds it.
inline Tolerance norm_fp32(int terms, double value) { return rounded(4 * std::sqrt(double(terms)) + 4, value); }

/// exp, tanh, erf and their kin in activations: 3 ULP of their own, and what the argument's rounding becomes behind
/// them.
/// @param value     the result
/// @param argument  what rounding of the argument moves the result by: |x f'(x)|
inline Tolerance function_fp32(double value, double argument) {
  return {.atol = rounded(8, value).atol + rounded(4, argument).atol};
}

/// A softmax's weighted mean. An error e of a key's score moves the mean by that key's weight times its value's
/// distance from the mean times e; the keys' errors are independent and add up as a random walk does, and so do the
/// roundings of the weighted sum itself. Eight times as much, as in dot_fp32. Its test: a mean that lost its heaviest
/// key exceeds it.
/// @param keys       in the mean
/// @param squares    sum over the keys of (weight * distance * expected error of the score)^2
/// @param magnitude  sum over the keys of weight * |value|
inline Tolerance attention_fp32(int keys, double squares, double magnitude) {
  return {.atol = 8 * (std::sqrt(squares) + 0x1p-24 * (std::sqrt(double(keys)) + 1) * magnitude)};
}

/// What rounding each key's weight to bf16 moves such a mean by: 2^-8 of what that key adds to it at most (8
/// significant bits), whatever the weights were scaled by. All one way that is 2^-8 of the sum of magnitudes; but
/// roundings are independent, and eight times their root of squares has probability below 2 exp(-32) (Hoeffding): the
/// smaller of the two. Comes on top of attention_fp32, whose sums take products of bfloat16 as exact. Its tests: a mean
/// that lost its heaviest key exceeds it, and so does one of many keys whose weights were cut off instead of rounded.
/// @param magnitude  sum over the keys of weight * |value|
/// @param squares    sum over the keys of (weight * value)^2
inline Tolerance weights_bf16(int keys, double magnitude, double squares) {
  return {.atol = 0x1p-8 * std::fmin(magnitude, 8 * std::sqrt(squares)) + 2 * keys * 0x1p-126};
}

}  // namespace assay::kernels
