// Frames of a film as transformers' PyAV backend gives them: which frames are taken, and their RGB. Not here: the sound
// of a film (audio.h), resizing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/media/image.h"

namespace assay {

/// Which frames: of the processor's configuration, or of the call.
struct Sampling {
  bool sample = true;             ///< do_sample_frames; else every frame is taken
  std::optional<int> num_frames;  ///< so many, evenly spread
  std::optional<double> fps;      ///< so many a second; not beside num_frames
};

struct Video {
  std::vector<Image> frames;
  std::vector<std::int64_t> indices;  ///< of each frame in the film
  double fps = 0;                     ///< of the film, by its container
  std::int64_t total = 0;             ///< frames the film has
};

struct VideoLimits {
  std::int64_t pixels = 35'389'440;                ///< of a frame: 8192 x 4320
  std::int64_t rgb_bytes = std::int64_t{1} << 30;  ///< of all frames that are kept
  std::int64_t frames = 1 << 20;                   ///< decoded in all
};

/// indices[i] = i * total / n; n is num_frames, or max(1, total / fps * sampling.fps), or all.
/// Errors: bad_input (no frames, more frames asked for than there are, a rate without one in the film).
/// Source: default_sample_indices_fn, BaseVideoProcessor.sample_frames (transformers 5.22.2).
Result<std::vector<std::int64_t>> sample_indices(std::int64_t total, double fps, const Sampling& sampling,
                                                 const std::string& where);

/// Which frames of a film of `total` frames, `fps` a second, ascending.
using ChooseFrames = std::function<Result<std::vector<std::int64_t>>(std::int64_t total, double fps)>;

/// Where a container does not say how many frames it has (Matroska, WebM), they are counted by decoding: transformers
/// refuses such a file.
/// Errors: io; bad_input (no film, damage, fewer frames than the container says and the sampling needs, over the
/// limits). Source: read_video_pyav (transformers 5.22.2); RGB by libswscale, as PyAV's to_ndarray(format="rgb24").
Result<Video> decode_video(const std::filesystem::path& path, const ChooseFrames& choose,
                           const VideoLimits& limits = {});
Result<Video> decode_video(const std::filesystem::path& path, const Sampling& sampling, const VideoLimits& limits = {});
Result<Video> decode_video(std::span<const std::byte> bytes, const std::string& where, const Sampling& sampling,
                           const VideoLimits& limits = {});

}  // namespace assay
