// How far a value may lie from the expected one. A tolerance is made by a named function that gives its reason, never
// written at a call site. Not here: which function a tap takes (harness/judge.h).
#pragma once

#include <cmath>

namespace assay {

/// Pass means |actual - expected| <= atol + rtol * |expected|.
struct Tolerance {
  double atol = 0, rtol = 0;
};

/// fp32 engines against transformers in fp32. 5e-5 is the bar that the published ports set themselves; the goldens are
/// conditioned so that transformers' own reorderings use at most half of it (golden/generate/noise.py).
constexpr Tolerance fp32_engine() { return {.atol = 5e-5, .rtol = 1e-5}; }

/// Engines of lower precision, each value: twice what transformers itself moves when it computes so, beside what fp32
/// may (DESIGN.md section 6).
constexpr Tolerance lossy_engine(double noise) {
  return {.atol = 2 * noise + fp32_engine().atol, .rtol = fp32_engine().rtol};
}

/// Integers, bytes, and arithmetic whose every rounding is prescribed.
constexpr Tolerance exact() { return {}; }

/// RGB of a JPEG against libjpeg's. Upsampling and colours are libjpeg's own arithmetic; FFmpeg's inverse transform
/// rounds otherwise, so that a decoded sample may lie 1 off. R = Y + 1.402 Cr, B = Y + 1.772 Cb, G less: 1 + 1.772, and
/// half a step of rounding, is 3 whole levels at most (measured: 3, in 4 % of the values).
constexpr Tolerance jpeg_decode() { return {.atol = 3}; }

/// RGB of a film's frame. H.264, HEVC, VP8, VP9 and AV1 decode to the same bits everywhere, MPEG-4 within 1;
/// libswscale's assembly for x86-64 from SSSE3 on and its C code differ by up to 3 levels in their RGB (measured), and
/// which of them runs is the processor's matter.
constexpr Tolerance film_decode() { return {.atol = 3}; }

/// Pictures resized after a decoding that is `levels` off: bicubic weights, antialiased or not, sum to at most 1.3 in
/// absolute value each way, and each of the two passes rounds by half a level more.
constexpr Tolerance resized(Tolerance decode) { return {.atol = decode.atol == 0 ? 0 : decode.atol * 1.3 * 1.3 + 1}; }

/// Pixels of such pictures on the scale of patches. @param scale  what a level is worth there
constexpr Tolerance patches(Tolerance pixels, double scale) {
  return {.atol = pixels.atol * scale + (pixels.atol == 0 ? 0 : 1e-6)};
}

/// Samples against librosa's. PCM and FLAC at 16 kHz are exact in fact; resampling filters through a Fourier transform
/// in fp32 whose order of summation is the processor's matter, and lossy codecs decode in fp32. An eighth of a 16-bit
/// step: nothing that a 16-bit file could tell.
constexpr Tolerance samples() { return {.atol = 0x1p-18}; }

/// Log-mel features: transformers' Fourier transform is fp32, ours double (measured: 5e-7 with the published settings).
/// The logarithm's slope, at most 1 / floor, makes more of it in silence: 5e-5 as for engines.
constexpr Tolerance mel_features() { return {.atol = 5e-5, .rtol = 1e-5}; }

/// The same of sound that a lossy codec decodes: two decoders' samples differ by 2^-22 in the mean at most (MP3,
/// measured: 2^-24). A frame's magnitudes sum 320 of them under a window whose squares sum to 120; 8 times that random
/// walk, where nothing but the floor is left under the logarithm.
inline Tolerance mel_of_lossy(double floor) { return {.atol = 8 * std::sqrt(120.0) * 0x1p-22 / floor, .rtol = 1e-5}; }

}  // namespace assay
