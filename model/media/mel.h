// The log-mel front end of the audio tower, and the raw frames of the unified model. Not here: decoding sound
// (audio.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace assay {

/// What the feature extractor is configured with; the defaults are the published ones.
struct MelSettings {
  int mels = 128, rate = 16000;
  double frame_ms = 20, hop_ms = 10;
  double low_hz = 0, high_hz = 8000;
  double floor = 1e-3;  ///< added to each mel before the logarithm
  double preemphasis = 0;
  bool preemphasis_htk = true;
  bool fft_overdrive = false;         ///< twice the transform length
  double scale = 1;                   ///< of the samples
  double padding = 0;                 ///< value past a clip's end
  std::vector<double> mean, std;      ///< per bin, or empty
  std::int64_t max_samples = 480000;  ///< longer clips are cut, after rounding up to `multiple`
  int multiple = 128;                 ///< a batch is padded to a multiple of so many samples

  int frame() const;  ///< samples
  int hop() const;
  int transform() const;  ///< length of the Fourier transform
  /// Samples that a clip is cut to.
  std::int64_t cut() const;
};

struct AudioFeatures {
  int clips = 0, frames = 0, columns = 0;
  std::vector<float> values;       ///< [clips, frames, columns], 0 where the mask is 0
  std::vector<std::int64_t> mask;  ///< [clips, frames]: 1 where every sample of the frame is the clip's own
};

/// Errors: bad_input (no clip, settings no filter bank can be made from).
/// Source: Gemma4AudioFeatureExtractor (transformers 5.22.2); the transform is computed in double here.
Result<AudioFeatures> log_mel(std::span<const std::vector<float>> clips, const MelSettings& settings);

/// Frames of `width` samples, the last one filled up with zeros; shorter clips of a batch with rows of zeros.
/// Errors: bad_input (no clip, an empty clip).
/// Source: Gemma4UnifiedAudioFeatureExtractor (transformers 5.22.2).
Result<AudioFeatures> raw_frames(std::span<const std::vector<float>> clips, int width);

/// Soft tokens of one clip: its mask after two strides of 2, as the tower's convolutions take it.
int soft_tokens_of_mel(std::span<const std::int64_t> mask);

}  // namespace assay
