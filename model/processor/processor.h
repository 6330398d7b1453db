// Text and media files to what a model is given: ids, token types, and tensors by transformers' names, one prompt or a
// batch. Not here: conversations to text (model/chat), running the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/processor/front_end.h"
#include "model/processor/processor_config.h"
#include "model/tensor.h"
#include "model/tokenizer/tokenizer.h"

namespace assay {

struct MediaFiles {
  std::vector<std::filesystem::path> images, audio, videos;
  bool empty() const { return images.empty() && audio.empty() && videos.empty(); }
};

struct Prompt {
  std::vector<std::int64_t> ids, types;  ///< [T]; types: 0 text, 1 image, 2 video, 3 audio
  std::vector<NamedTensor> media;        ///< transformers' names and shapes
};

struct PromptBatch {
  int rows = 0, tokens = 0;
  std::vector<std::int64_t> ids, mask, types;  ///< [rows, tokens]; padding has mask 0, type 0 and the pad id
  std::vector<NamedTensor> media;              ///< of all prompts, in order
};

struct ProcessOptions {
  int image_tokens = 0;              ///< budget of each image: 70, 140, 280, 560 or 1120; 0: the checkpoint's
  bool strict = false;               ///< invalid UTF-8 is an error
  bool add_special = true;           ///< what the tokenizer puts around a text; a rendered conversation has it already
  std::optional<Sampling> sampling;  ///< of films, instead of the checkpoint's
};

/// The soft tokens of one prompt's media, and its tensors.
class Processor {
 public:
  /// Errors: those of read_processor_config and Tokenizer::open.
  static Result<Processor> open(const std::filesystem::path& checkpoint, FrontEnd steps = front_end());
  /// The same with another tokenizer (`--tokenizer`).
  static Result<Processor> open(const std::filesystem::path& checkpoint, Tokenizer tokenizer,
                                FrontEnd steps = front_end());

  /// @param text  holds <|image|>, <|audio|> and <|video|> once a file, in the files' order, as apply_chat_template
  ///              leaves them
  /// Media tensors: pixel_values [n, L, p] and image_position_ids [n, L, 2]; pixel_values_videos [frames, L, p],
  /// video_position_ids [frames, L, 2], num_frames_per_video [films]; input_features [clips, T, bins],
  /// input_features_mask [clips, T].
  /// Errors: those of the steps; bad_input (placeholders and files that differ in number, media that the checkpoint is
  /// not configured for, a tokenizer without a media token).
  Result<Prompt> operator()(std::string_view text, const MediaFiles& media, const ProcessOptions& options = {}) const;

  /// Several prompts, padded to the longest on the tokenizer's side. Errors also: bad_input (as many texts as media).
  Result<PromptBatch> batch(std::span<const std::string> texts, std::span<const MediaFiles> media,
                            const ProcessOptions& options = {}) const;

  const ProcessorConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const FrontEnd& steps() const { return steps_; }
  MediaIds ids() const;

 private:
  Processor(ProcessorConfig config, Tokenizer tokenizer, FrontEnd steps)
      : config_(std::move(config)), tokenizer_(std::move(tokenizer)), steps_(std::move(steps)) {}

  ProcessorConfig config_;
  Tokenizer tokenizer_;
  FrontEnd steps_;
};

}  // namespace assay
