#include "model/processor/processor.h"

#include <algorithm>
#include <array>
#include <utility>

namespace assay {
namespace {

namespace fs = std::filesystem;

/// Pictures of one kind, stacked: each has the same padded rows.
struct Stack {
  std::vector<float> values;
  std::vector<std::int64_t> positions;
  std::int64_t pictures = 0;

  void add(Patches patches) {
    values.insert(values.end(), patches.values.begin(), patches.values.end());
    positions.insert(positions.end(), patches.positions.begin(), patches.positions.end());
    ++pictures;
  }
  void give(std::vector<NamedTensor>& out, const PatchSettings& settings, const std::string& pixels,
            const std::string& where) && {
    const std::int64_t rows = settings.rows();
    out.push_back({pixels, Tensor::own({pictures, rows, settings.columns()}, std::move(values))});
    out.push_back({where, Tensor::own({pictures, rows, 2}, std::move(positions))});
  }
};

/// What stands in the texts for each file, and the tensors.
struct Prepared {
  std::vector<std::string> images, videos, audio;
  std::vector<NamedTensor> media;
};

/// Padded patches of all the pictures of a call: at most 4 GiB.
constexpr std::int64_t kMostValues = std::int64_t{1} << 30;

class Preparing {
 public:
  Preparing(const ProcessorConfig& config, const FrontEnd& steps, const ProcessOptions& options)
      : config_(config), steps_(steps), options_(options) {}

  Result<void> images(std::span<const fs::path> files) {
    if (files.empty()) return {};
    if (!config_.image) return missing("image_processor", "an image");
    PatchSettings settings = *config_.image;
    if (options_.image_tokens != 0) {
      ASSAY_CHECK(check_soft_tokens(options_.image_tokens, "options", "image_tokens"));
      settings.soft_tokens = options_.image_tokens;
    }
    Stack stack;
    for (const fs::path& file : files) {
      ASSAY_TRY(image, steps_.decode_image(file));
      ASSAY_TRY(tokens, add(image, settings, file.string(), stack));
      out.images.push_back(steps_.image_text(config_.tokens, tokens));
    }
    std::move(stack).give(out.media, settings, "pixel_values", "image_position_ids");
    return {};
  }

  Result<void> videos(std::span<const fs::path> files) {
    if (files.empty()) return {};
    if (!config_.video) return missing("video_processor", "a film");
    Stack stack;
    std::vector<std::int64_t> frames;
    for (const fs::path& file : files) {
      const Sampling sampling = options_.sampling.value_or(config_.sampling);
      const auto choose = [&](std::int64_t total, double fps) {
        return steps_.sample_frames(total, fps, sampling, file.string());
      };
      ASSAY_TRY(video, steps_.decode_video(file, choose));
      int tokens = 0;
      std::vector<double> seconds;
      for (std::size_t i = 0; i < video.frames.size(); ++i) {
        ASSAY_TRY(of_frame, add(video.frames[i], *config_.video, file.string(), stack));
        tokens = of_frame;
        // A film that does not say its rate has 24 frames a second, as there.
        seconds.push_back(double(video.indices[i]) / (video.fps > 0 ? video.fps : 24.0));
      }
      frames.push_back(std::int64_t(video.frames.size()));
      out.videos.push_back(steps_.video_text(config_.tokens, seconds, tokens));
    }
    std::move(stack).give(out.media, *config_.video, "pixel_values_videos", "video_position_ids");
    const auto films = std::int64_t(frames.size());
    out.media.push_back({"num_frames_per_video", Tensor::own({films}, std::move(frames))});
    return {};
  }

  Result<void> audio(std::span<const fs::path> files) {
    if (files.empty()) return {};
    if (!config_.audio) return missing("feature_extractor", "sound");
    AudioLimits limits;
    if (!config_.unified) limits.stop_after = config_.mel.cut();
    std::vector<std::vector<float>> clips;
    for (const fs::path& file : files) {
      ASSAY_TRY(samples, steps_.decode_audio(file, config_.mel.rate, limits));
      clips.push_back(std::move(samples));
    }
    auto made = config_.unified ? steps_.raw_frames(clips, config_.frame_width) : steps_.mel(clips, config_.mel);
    if (!made) return fail(std::move(made).error());
    AudioFeatures& features = *made;
    for (std::size_t c = 0; c < clips.size(); ++c) {
      const auto mask =
          std::span(features.mask).subspan(c * std::size_t(features.frames), std::size_t(features.frames));
      out.audio.push_back(steps_.audio_text(config_.tokens, steps_.audio_tokens(mask, config_.unified)));
    }
    const std::vector<std::int64_t> shape{features.clips, features.frames};
    out.media.push_back({"input_features",
                         Tensor::own({features.clips, features.frames, features.columns}, std::move(features.values))});
    out.media.push_back({"input_features_mask", Tensor::own(shape, std::move(features.mask))});
    return {};
  }

  Prepared out;

 private:
  tl::unexpected<Failure> missing(const char* section, const char* what) const {
    return fail({Failure::bad_input, (fs::path(config_.where) / "processor_config.json").string(), section,
                 std::string("a section, since ") + what + " was given", "none"});
  }

  Result<int> add(const Image& image, const PatchSettings& settings, const std::string& where, Stack& stack) const {
    const std::int64_t each = std::int64_t{settings.rows()} * settings.columns();
    if ((stack.pictures + 1) * each > kMostValues)
      return fail({Failure::unsupported, where, "", "at most " + std::to_string(kMostValues) + " values of patches",
                   "more pictures"});
    ASSAY_TRY(sized, resized(steps_, image, settings, where));
    ASSAY_TRY(patches, steps_.patchify(sized, settings, where));
    const int tokens = patches.soft_tokens;
    stack.add(std::move(patches));
    return tokens;
  }

  const ProcessorConfig& config_;
  const FrontEnd& steps_;
  const ProcessOptions& options_;
};

/// Replacements of one kind, taken one after the other over all texts of a batch.
struct Supply {
  std::string token, kind;
  std::span<const std::string> texts;  ///< of this prompt
  std::size_t next = 0;
};

/// `text` with each placeholder replaced. Kinds without files stay as they are written; images may not.
Result<std::string> filled(std::string_view text, std::array<Supply, 3> supplies) {
  std::string out;
  while (!text.empty()) {
    Supply* first = nullptr;
    std::size_t at = std::string_view::npos;
    for (Supply& supply : supplies) {
      if (supply.texts.empty() && supply.kind != "image") continue;
      const std::size_t found = text.find(supply.token);
      if (found < at) {
        at = found;
        first = &supply;
      }
    }
    if (first == nullptr) break;
    out += text.substr(0, at);
    text.remove_prefix(at + first->token.size());
    if (first->next == first->texts.size()) {
      first->next = std::string_view::npos;
      break;
    }
    out += first->texts[first->next++];
  }
  for (const Supply& supply : supplies)
    if (supply.next != supply.texts.size()) {
      const bool more = supply.next == std::string_view::npos;
      return fail({Failure::bad_input, "prompt", supply.token,
                   std::to_string(supply.texts.size()) + ", one for each " + supply.kind + " file",
                   more ? "more" : std::to_string(supply.next)});
    }
  out += text;
  return out;
}

}  // namespace

MediaIds Processor::ids() const {
  return {tokenizer_.id_of(config_.tokens.image).value_or(-1), tokenizer_.id_of(config_.tokens.video).value_or(-1),
          tokenizer_.id_of(config_.tokens.audio).value_or(-1)};
}

Result<Processor> Processor::open(const fs::path& checkpoint, FrontEnd steps) {
  ASSAY_TRY(tokenizer, Tokenizer::open(checkpoint));
  return open(checkpoint, std::move(tokenizer), std::move(steps));
}

Result<Processor> Processor::open(const fs::path& checkpoint, Tokenizer tokenizer, FrontEnd steps) {
  ASSAY_TRY(config, read_processor_config(checkpoint));
  return Processor(std::move(config), std::move(tokenizer), std::move(steps));
}

Result<PromptBatch> Processor::batch(std::span<const std::string> texts, std::span<const MediaFiles> media,
                                     const ProcessOptions& options) const {
  if (texts.empty() || texts.size() != media.size())
    return fail({Failure::bad_input, "prompts", "", "as many lists of media as texts, at least one",
                 std::to_string(texts.size()) + " and " + std::to_string(media.size())});
  MediaFiles all;
  for (const MediaFiles& one : media) {
    all.images.insert(all.images.end(), one.images.begin(), one.images.end());
    all.audio.insert(all.audio.end(), one.audio.begin(), one.audio.end());
    all.videos.insert(all.videos.end(), one.videos.begin(), one.videos.end());
  }
  const MediaIds known = ids();
  const auto needs = [&](bool used, std::int64_t id, const std::string& token) -> Result<void> {
    if (!used || id >= 0) return {};
    return fail({Failure::bad_input, config_.where, "tokenizer", "a token " + token, "none"});
  };
  ASSAY_CHECK(needs(!all.images.empty(), known.image, config_.tokens.image));
  ASSAY_CHECK(needs(!all.videos.empty(), known.video, config_.tokens.video));
  ASSAY_CHECK(needs(!all.audio.empty(), known.audio, config_.tokens.audio));

  Preparing preparing(config_, steps_, options);
  ASSAY_CHECK(preparing.images(all.images));
  ASSAY_CHECK(preparing.videos(all.videos));
  ASSAY_CHECK(preparing.audio(all.audio));
  const Prepared& prepared = preparing.out;

  std::vector<std::vector<std::int64_t>> rows;
  std::array<std::size_t, 3> used{};
  std::size_t longest = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto take = [&](std::size_t kind, const std::vector<std::string>& from, std::size_t count) {
      return std::span(from).subspan(std::exchange(used[kind], used[kind] + count), count);
    };
    ASSAY_TRY(text,
              filled(texts[i], {{{config_.tokens.image, "image", take(0, prepared.images, media[i].images.size())},
                                 {config_.tokens.video, "video", take(1, prepared.videos, media[i].videos.size())},
                                 {config_.tokens.audio, "audio", take(2, prepared.audio, media[i].audio.size())}}}));
    ASSAY_TRY(row, steps_.encode(tokenizer_, text, {.add_special = options.add_special, .strict = options.strict}));
    longest = std::max(longest, row.size());
    rows.push_back(std::move(row));
  }

  PromptBatch batch{.rows = int(rows.size()), .tokens = int(longest)};
  const std::int64_t pad = tokenizer_.pad().value_or(0);
  for (const std::vector<std::int64_t>& row : rows) {
    const std::size_t padding = longest - row.size();
    const auto add = [&](std::vector<std::int64_t>& out, const std::vector<std::int64_t>& values, std::int64_t filler) {
      if (config_.pad_left) out.insert(out.end(), padding, filler);
      out.insert(out.end(), values.begin(), values.end());
      if (!config_.pad_left) out.insert(out.end(), padding, filler);
    };
    add(batch.ids, row, pad);
    add(batch.mask, std::vector<std::int64_t>(row.size(), 1), 0);
    add(batch.types, steps_.types(row, known), 0);
  }
  batch.media = std::move(preparing.out.media);
  return batch;
}

Result<Prompt> Processor::operator()(std::string_view text, const MediaFiles& media,
                                     const ProcessOptions& options) const {
  const std::string one(text);
  ASSAY_TRY(made, batch({&one, 1}, {&media, 1}, options));
  return Prompt{std::move(made.ids), std::move(made.types), std::move(made.media)};
}

}  // namespace assay
