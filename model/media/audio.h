// The sound of a file as transformers' feature extractors get it: one channel, 16 kHz, float32. Any container, codec,
// rate and number of channels that FFmpeg reads, the sound of films included. Not here: features (mel.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace assay {

inline constexpr int kAudioRate = 16000;

struct AudioLimits {
  /// Samples at the target rate after which decoding stops: what follows changes nothing for a reader that cuts there.
  std::optional<std::int64_t> stop_after;
  std::int64_t samples = std::int64_t{3600} * kAudioRate;  ///< more than an hour is refused where nothing cuts it
};

/// Channels are averaged, then resampled by libsoxr at high quality, which libswresample drives.
/// @param rate  target, in Hz
/// Errors: io; bad_input (no sound, damage, no samples, too long, a rate outside 1 Hz to 1 MHz, more than 64 channels).
/// Source: transformers.audio_utils.load_audio (5.22.2), which is librosa.load(path, sr=16000).
Result<std::vector<float>> decode_audio(const std::filesystem::path& path, int rate = kAudioRate,
                                        const AudioLimits& limits = {});
Result<std::vector<float>> decode_audio(std::span<const std::byte> bytes, const std::string& where,
                                        int rate = kAudioRate, const AudioLimits& limits = {});

}  // namespace assay
