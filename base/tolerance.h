// How far a value may lie from the expected one. A tolerance is made by a named function that gives its reason, never
// written at a call site. Not here: which function a tap takes (harness/judge.h).
#pragma once

namespace assay {

/// Pass means |actual - expected| <= atol + rtol * |expected|.
struct Tolerance {
  double atol = 0, rtol = 0;
};

/// fp32 engines against transformers in fp32. 5e-5 is the bar that the published ports set themselves; the goldens are
/// conditioned so that transformers' own reorderings use at most half of it (golden/generate/noise.py).
constexpr Tolerance fp32_engine() { return {.atol = 5e-5, .rtol = 1e-5}; }

/// bf16 engines, each value: twice what transformers itself moves when it runs in bf16 (DESIGN.md section 6).
constexpr Tolerance bf16_engine(double noise_bf16) { return {.atol = 2 * noise_bf16, .rtol = 0}; }

}  // namespace assay
