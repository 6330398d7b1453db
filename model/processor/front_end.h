// The steps between files and tensors as a table, so that a fault can replace one and a judge can run one alone. Not
// here: their order (processor.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/chat/chat_template.h"
#include "model/generation_config.h"
#include "model/media/audio.h"
#include "model/media/image.h"
#include "model/media/mel.h"
#include "model/media/patches.h"
#include "model/media/video.h"
#include "model/processor/processor_config.h"
#include "model/tokenizer/tokenizer.h"

namespace assay {

/// Ids of the placeholders; -1 where the tokenizer has none.
struct MediaIds {
  std::int64_t image = -1, video = -1, audio = -1;
};

struct FrontEnd {
  using Path = std::filesystem::path;
  using Clips = std::span<const std::vector<float>>;

  std::function<Result<std::string>(const ChatTemplate&, std::string_view messages, std::string_view tools,
                                    const ChatOptions&)>
      render;
  std::function<Result<std::vector<std::int64_t>>(const Tokenizer&, std::string_view text, const EncodeOptions&)>
      encode;
  std::function<std::string(const Tokenizer&, std::span<const std::int64_t> ids, bool skip_special)> decode;

  std::function<Result<Image>(const Path&)> decode_image;
  std::function<Result<Size>(Size, const PatchSettings&, const std::string& where)> target_size;
  std::function<Result<Image>(const Image&, int width, int height)> resize;
  std::function<Result<Patches>(const Image&, const PatchSettings&, const std::string& where)> patchify;

  std::function<Result<std::vector<std::int64_t>>(std::int64_t total, double fps, const Sampling&, const std::string&)>
      sample_frames;
  std::function<Result<Video>(const Path&, const ChooseFrames&)> decode_video;

  std::function<Result<std::vector<float>>(const Path&, int rate, const AudioLimits&)> decode_audio;
  std::function<Result<AudioFeatures>(Clips, const MelSettings&)> mel;
  std::function<Result<AudioFeatures>(Clips, int width)> raw_frames;
  std::function<int(std::span<const std::int64_t> mask, bool unified)> audio_tokens;  ///< of one clip

  /// What stands in the prompt for one image, clip or film.
  std::function<std::string(const MediaTokens&, int tokens)> image_text, audio_text;
  std::function<std::string(const MediaTokens&, std::span<const double> seconds, int tokens_a_frame)> video_text;
  /// 0 text, 1 image, 2 video, 3 audio.
  std::function<std::vector<std::int64_t>(std::span<const std::int64_t> ids, const MediaIds&)> types;

  std::function<Result<GenerationConfig>(const Path& checkpoint)> generation_config;
};

/// transformers' steps. Source: Gemma4Processor, Gemma4UnifiedProcessor (5.22.2).
FrontEnd front_end();

/// An image or a frame of a film, up to its patches: the size it gets, the resize where it has another.
Result<Image> resized(const FrontEnd& steps, const Image& image, const PatchSettings& settings,
                      const std::string& where);

}  // namespace assay
