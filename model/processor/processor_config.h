// How a checkpoint prepares images, films and sound: processor_config.json, or preprocessor_config.json and
// video_preprocessor_config.json beside it, and the names of the media tokens (tokenizer_config.json). Checked key by
// key. Not here: doing it (processor.h), the model's own configuration (model/config.h).
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/media/mel.h"
#include "model/media/patches.h"
#include "model/media/video.h"

namespace assay {

/// The texts that stand for media in a prompt.
struct MediaTokens {
  std::string image = "<|image|>", begin_image = "<|image>", end_image = "<image|>";
  std::string audio = "<|audio|>", begin_audio = "<|audio>", end_audio = "<audio|>";
  std::string video = "<|video|>";
};

struct ProcessorConfig {
  std::string where;                          ///< the folder, for messages
  bool unified = false;                       ///< Gemma4UnifiedProcessor: merged patches, raw frames of sound
  std::optional<PatchSettings> image, video;  ///< absent: the checkpoint's files say nothing of it
  Sampling sampling;
  bool audio = false;
  MelSettings mel;        ///< where not unified; its rate holds for both
  int frame_width = 640;  ///< unified: samples a soft token
  MediaTokens tokens;
  bool pad_left = true;  ///< padding_side of the tokenizer
};

/// A missing file or section is no error: it leaves its kind of media absent.
/// Errors: io; bad_input (not JSON, a key of a wrong type or out of range); unsupported (another resample filter,
/// dither, padding of sound on the left). Source: ProcessorMixin.from_pretrained and the defaults of the Gemma 4
/// processors (transformers 5.22.2); a saved frame_length or hop_length is not read back, as there: only the keys in
/// milliseconds count.
Result<ProcessorConfig> read_processor_config(const std::filesystem::path& checkpoint);

/// 70, 140, 280, 560 or 1120. Errors: bad_input.
Result<void> check_soft_tokens(std::int64_t tokens, const std::string& where, const std::string& field);

}  // namespace assay
