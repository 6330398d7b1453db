#include "model/processor/front_end.h"

#include <algorithm>

#include "model/media/resize.h"

namespace assay {
namespace {

std::string repeated(std::string_view text, int count) {
  std::string all;
  all.reserve(text.size() * std::size_t(std::max(count, 0)));
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

std::string image_text(const MediaTokens& tokens, int count) {
  return tokens.begin_image + repeated(tokens.image, count) + tokens.end_image;
}

std::string audio_text(const MediaTokens& tokens, int count) {
  return tokens.begin_audio + repeated(tokens.audio, count) + tokens.end_audio;
}

/// `00:07`; minutes go past 99.
std::string clock(double seconds) {
  const auto whole = std::int64_t(seconds);
  const auto two = [](std::int64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  return two(whole / 60) + ":" + two(whole % 60);
}

std::string video_text(const MediaTokens& tokens, std::span<const double> seconds, int count) {
  std::string text;
  for (const double at : seconds) {
    if (!text.empty()) text += ' ';
    text += clock(at) + " " + tokens.begin_image + repeated(tokens.video, count) + tokens.end_image;
  }
  return text;
}

int audio_tokens(std::span<const std::int64_t> mask, bool unified) {
  return unified ? int(std::count(mask.begin(), mask.end(), 1)) : soft_tokens_of_mel(mask);
}

std::vector<std::int64_t> types(std::span<const std::int64_t> ids, const MediaIds& media) {
  std::vector<std::int64_t> types(ids.size(), 0);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0) continue;
    if (ids[i] == media.image) types[i] = 1;
    if (ids[i] == media.video) types[i] = 2;
    if (ids[i] == media.audio) types[i] = 3;
  }
  return types;
}

}  // namespace

FrontEnd front_end() {
  FrontEnd steps;
  steps.render = [](const ChatTemplate& chat, std::string_view messages, std::string_view tools,
                    const ChatOptions& options) { return chat.render(messages, tools, options); };
  steps.encode = [](const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
    return tokenizer.encode(text, options);
  };
  steps.decode = [](const Tokenizer& tokenizer, std::span<const std::int64_t> ids, bool skip_special) {
    return tokenizer.decode(ids, skip_special);
  };
  steps.decode_image = [](const FrontEnd::Path& path) { return decode_image(path); };
  steps.target_size = target_size;
  steps.resize = resize_bicubic;
  steps.patchify = make_patches;
  steps.sample_frames = sample_indices;
  steps.decode_video = [](const FrontEnd::Path& path, const ChooseFrames& choose) {
    return decode_video(path, choose);
  };
  steps.decode_audio = [](const FrontEnd::Path& path, int rate, const AudioLimits& limits) {
    return decode_audio(path, rate, limits);
  };
  steps.mel = log_mel;
  steps.raw_frames = raw_frames;
  steps.audio_tokens = audio_tokens;
  steps.image_text = image_text;
  steps.audio_text = audio_text;
  steps.video_text = video_text;
  steps.types = types;
  steps.generation_config = [](const FrontEnd::Path& checkpoint) { return read_generation_config(checkpoint); };
  return steps;
}

Result<Image> resized(const FrontEnd& steps, const Image& image, const PatchSettings& settings,
                      const std::string& where) {
  if (!settings.resize) return image;
  ASSAY_TRY(size, steps.target_size({image.width, image.height}, settings, where));
  if (size == Size{image.width, image.height}) return image;
  return steps.resize(image, size.width, size.height);
}

}  // namespace assay
