#include "harness/frontend/stages.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/tolerance.h"
#include "harness/frontend/request.h"
#include "harness/sample/sampler.h"
#include "harness/verify/select.h"
#include "model/processor/processor.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

/// A stage as computed, all of it.
struct Computed {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
  Tolerance tolerance;
};
using Stages = std::map<std::string, Result<Computed>, std::less<>>;

template <class Values>
Computed computed(std::vector<std::int64_t> shape, const Values& values, Tolerance tolerance = exact()) {
  Computed out{std::move(shape), {}, tolerance};
  out.values.reserve(values.size());
  for (const auto value : values) out.values.push_back(float(value));
  return out;
}

Computed of_bytes(std::string_view text) {
  Computed out{{std::int64_t(text.size())}, {}, exact()};
  for (const char c : text) out.values.push_back(float(static_cast<unsigned char>(c)));
  return out;
}

Computed of_ids(const std::vector<std::int64_t>& ids) { return computed({std::int64_t(ids.size())}, ids); }

Computed of_image(const Image& image, Tolerance tolerance) {
  return computed({image.height, image.width, 3}, image.rgb, tolerance);
}

std::int64_t row_of(std::span<const std::int64_t> shape) {
  std::int64_t row = 1;
  for (const std::int64_t extent : shape.subspan(1)) row *= extent;
  return row;
}

// NOLINTNEXTLINE(bugprone-easily-swappable-parameters)
std::vector<std::int64_t> unravelled(std::int64_t row, std::int64_t inner, std::span<const std::int64_t> shape) {
  std::vector<std::int64_t> index(shape.size(), 0);
  index[0] = row;
  for (std::size_t axis = shape.size(); axis-- > 1; inner /= shape[axis]) index[axis] = inner % shape[axis];
  return index;
}

/// @param mode  `stage` or `whole`
TapResult judged(const FrontEndStage& expected, const Result<Computed>& actual, std::string mode) {
  TapResult result{.tap = expected.name, .mode = std::move(mode), .shape = expected.shape};
  if (!actual) {
    const Failure::Kind kind = actual.error().kind;
    result.verdict = kind == Failure::unsupported  ? Verdict::unsupported
                     : kind == Failure::bad_output ? Verdict::fail_shape
                                                   : Verdict::crash;  // it refused what is right
    result.note = actual.error().message();
    return result;
  }
  result.tolerance = actual->tolerance;
  if (actual->shape != expected.shape) {
    result.verdict = Verdict::fail_shape;
    result.note = "expected " + shape_text(expected.shape) + ", got " + shape_text(actual->shape);
    const auto [theirs, ours] = std::ranges::mismatch(expected.values, actual->values);
    if (expected.shape.size() == 1 && expected.whole())
      result.note += "; they part at " + std::to_string(theirs - expected.values.begin());
    return result;
  }
  const auto row = std::size_t(row_of(expected.shape));
  std::vector<float> kept;
  if (!expected.whole())
    for (const std::int64_t at : expected.rows) {
      const auto first = actual->values.begin() + std::ptrdiff_t(std::size_t(at) * row);
      kept.insert(kept.end(), first, first + std::ptrdiff_t(row));
    }
  const std::vector<float>& values = expected.whole() ? actual->values : kept;
  result.stats = compare(expected.values, values, actual->tolerance);
  if (result.stats.count > 0 && row > 0) {
    const auto at = result.stats.worst / row;
    result.worst = unravelled(expected.whole() ? std::int64_t(at) : expected.rows[at],
                              std::int64_t(result.stats.worst % row), expected.shape);
  }
  if (result.stats.not_finite > 0)
    result.verdict = Verdict::fail_nan;
  else if (result.stats.mismatches > 0)
    result.verdict = Verdict::fail_numeric;
  return result;
}

std::string numbered(const char* kind, std::size_t n, const char* stage) {
  return std::string(kind) + "." + std::to_string(n) + "." + stage;
}

class Stager {
 public:
  Stager(const FrontEndCase& one, const Request& request, const Processor& processor, const fs::path& checkpoint)
      : one_(one), request_(request), processor_(processor), steps_(processor.steps()), checkpoint_(checkpoint) {}

  Stages each_stage() const {
    Stages out;
    text(out);
    const MediaFiles all = media();
    for (std::size_t n = 0; n < all.images.size(); ++n) image(n, all.images[n], out);
    for (std::size_t n = 0; n < all.videos.size(); ++n) video(n, all.videos[n], out);
    audio(all.audio, out);
    if (has("generation.stop_ids")) generation(out);
    return out;
  }

  /// From texts and files to tensors in one go.
  Stages whole() const {
    Stages out;
    const auto made = process();
    if (!made) {
      // It says no more than that some step failed; which, each step by itself tells.
      for (const FrontEndStage& stage : one_.stages)
        if (stage.name.starts_with("layout.")) out.emplace(stage.name, fail(made.error()));
      return out;
    }
    const std::vector<std::int64_t> shape = request_.batched ? std::vector<std::int64_t>{made->rows, made->tokens}
                                                             : std::vector<std::int64_t>{made->tokens};
    out.emplace("layout.ids", computed(shape, made->ids));
    out.emplace("layout.types", computed(shape, made->types));
    out.emplace("layout.mask", computed(shape, made->mask));
    const MediaFiles all = media();
    pictures(*made, all, out);
    films(*made, all, out);
    clips(*made, out);
    return out;
  }

 private:
  bool has(std::string_view stage) const { return one_.find(stage) != nullptr; }

  MediaFiles media() const {
    MediaFiles all;
    for (const MediaFiles& one : request_.media) {
      all.images.insert(all.images.end(), one.images.begin(), one.images.end());
      all.audio.insert(all.audio.end(), one.audio.begin(), one.audio.end());
      all.videos.insert(all.videos.end(), one.videos.begin(), one.videos.end());
    }
    return all;
  }

  /// What the tokenizer is given: the golden's own rendering of a conversation, else the request's text.
  std::string prompt() const {
    const FrontEndStage* rendered = one_.find("text.rendered");
    if (rendered == nullptr) return request_.text.value_or("");
    std::string text;
    for (const float byte : rendered->values) text += char(static_cast<unsigned char>(byte));
    return text;
  }

  /// apply_chat_template adds nothing where the template has begun with <bos> itself.
  bool add_special() const {
    if (request_.add_special) return *request_.add_special;
    const auto bos = processor_.tokenizer().bos();
    const auto token = bos ? processor_.tokenizer().token_of(*bos) : std::nullopt;
    return request_.messages.empty() || !token || !prompt().starts_with(*token);
  }

  void text(Stages& out) const {
    if (has("text.rendered")) out.emplace("text.rendered", render());
    if (has("text.ids")) {
      const auto ids =
          steps_.encode(processor_.tokenizer(), prompt(), {.add_special = add_special(), .strict = request_.strict});
      out.emplace("text.ids", ids ? Result<Computed>(of_ids(*ids)) : fail(ids.error()));
    }
    if (has("text.decoded")) {
      std::vector<std::int64_t> ids = request_.ids;
      if (const FrontEndStage* stage = one_.find("text.ids"))
        for (const float id : stage->values) ids.push_back(std::int64_t(id));
      out.emplace("text.decoded", of_bytes(steps_.decode(processor_.tokenizer(), ids, request_.skip_special)));
    }
  }

  Result<Computed> render() const {
    ASSAY_TRY(chat, ChatTemplate::open(checkpoint_));
    ASSAY_TRY(text, steps_.render(chat, request_.messages, request_.tools,
                                  {.add_generation_prompt = request_.add_generation_prompt,
                                   .enable_thinking = request_.enable_thinking,
                                   .preserve_thinking = request_.preserve_thinking}));
    return of_bytes(text);
  }

  PatchSettings settings(const std::optional<PatchSettings>& of, bool image) const {
    PatchSettings settings = of.value_or(PatchSettings{});
    if (image && request_.image_tokens != 0) settings.soft_tokens = request_.image_tokens;
    return settings;
  }

  static Tolerance decode_tolerance(const fs::path& file) {
    return file.extension() == ".jpg" || file.extension() == ".jpeg" ? jpeg_decode() : exact();
  }
  /// What FFmpeg's decoder and transformers' own need not agree on to the bit.
  static bool lossy(const fs::path& file) {
    constexpr std::array<std::string_view, 4> kExact = {".wav", ".flac", ".aiff", ".au"};
    return std::ranges::find(kExact, file.extension().string()) == kExact.end();
  }
  static double scale_of(const PatchSettings& settings) {
    return settings.normalize ? settings.rescale / *std::ranges::min_element(settings.std) : settings.rescale;
  }

  /// The golden's picture at that stage, where it holds all of it.
  std::optional<Image> golden_image(const std::string& name) const {
    const FrontEndStage* stage = one_.find(name);
    if (stage == nullptr || !stage->whole() || stage->shape.size() != 3 || stage->shape[2] != 3) return std::nullopt;
    Image image{int(stage->shape[1]), int(stage->shape[0]), {}};
    for (const float value : stage->values) image.rgb.push_back(std::uint8_t(value));
    return image;
  }

  void image(std::size_t n, const fs::path& file, Stages& out) const {
    const auto name = [&](const char* stage) { return numbered("image", n, stage); };
    const PatchSettings how = settings(processor_.config().image, true);
    Tolerance tolerance = decode_tolerance(file);
    Result<Image> decoded = steps_.decode_image(file);
    out.emplace(name("decoded"), decoded.map([&](const Image& image) { return of_image(image, tolerance); }));
    if (auto golden = golden_image(name("decoded"))) {
      decoded = *std::move(golden);
      tolerance = exact();
    }
    Result<Image> sized =
        decoded.and_then([&](const Image& image) { return resized(steps_, image, how, file.string()); });
    tolerance = assay::resized(tolerance);
    out.emplace(name("resized"), sized.map([&](const Image& image) { return of_image(image, tolerance); }));
    if (auto golden = golden_image(name("resized"))) {
      sized = *std::move(golden);
      tolerance = exact();
    }
    const auto made = sized.and_then([&](const Image& image) { return steps_.patchify(image, how, file.string()); });
    out.emplace(name("patches"), made.map([&](const Patches& patches) {
      return computed({how.rows(), how.columns()}, patches.values, assay::patches(tolerance, scale_of(how)));
    }));
    out.emplace(name("positions"), made.map([&](const Patches& patches) {
      return computed({how.rows(), 2}, patches.positions);
    }));
  }

  Sampling sampling() const {
    Sampling sampling = processor_.config().sampling;
    if (request_.num_frames) sampling.num_frames = request_.num_frames;
    if (request_.fps) sampling.fps = request_.fps;
    return sampling;
  }

  void video(std::size_t n, const fs::path& file, Stages& out) const {
    const auto name = [&](const char* stage) { return numbered("video", n, stage); };
    const PatchSettings how = settings(processor_.config().video, false);
    const auto choose = [&](std::int64_t total, double fps) {
      return steps_.sample_frames(total, fps, sampling(), file.string());
    };
    const Result<Video> film = steps_.decode_video(file, choose);
    const auto give = [&](const char* stage, Result<Computed> value) { out.emplace(name(stage), std::move(value)); };
    if (!film || film->frames.empty()) {
      const Failure why =
          film ? Failure{Failure::bad_output, file.string(), "frames", "at least one", "none"} : film.error();
      for (const char* stage : {"indices", "decoded", "resized", "patches", "positions"}) give(stage, fail(why));
      return;
    }
    give("indices", of_ids(film->indices));
    Computed decoded{{0, film->frames[0].height, film->frames[0].width, 3}, {}, film_decode()};
    Computed sized{{0, 0, 0, 3}, {}, assay::resized(film_decode())};
    Computed values{{0, how.columns()}, {}, assay::patches(assay::resized(film_decode()), scale_of(how))};
    Computed positions{{0, 2}, {}, exact()};
    for (const Image& frame : film->frames) append(decoded, frame.rgb);
    for (const Image& frame : film->frames) {
      const auto small = resized(steps_, frame, how, file.string());
      const auto patches =
          small.and_then([&](const Image& image) { return steps_.patchify(image, how, file.string()); });
      if (!patches) {
        for (const char* stage : {"resized", "patches", "positions"}) give(stage, fail(patches.error()));
        break;
      }
      sized.shape[1] = small->height;
      sized.shape[2] = small->width;
      append(sized, small->rgb);
      append(values, patches->values, how.rows());
      append(positions, patches->positions, how.rows());
    }
    give("decoded", std::move(decoded));
    give("resized", std::move(sized));
    give("patches", std::move(values));
    give("positions", std::move(positions));
  }

  template <class Values>
  static void append(Computed& to, const Values& values, std::int64_t rows = 1) {
    to.shape[0] += rows;
    for (const auto value : values) to.values.push_back(float(value));
  }

  void audio(const std::vector<fs::path>& files, Stages& out) const {
    if (files.empty()) return;
    std::vector<std::vector<float>> samples;
    Result<void> all;
    for (std::size_t n = 0; n < files.size(); ++n) {
      const auto name = numbered("audio", n, "samples");
      auto made = steps_.decode_audio(files[n], processor_.config().mel.rate, {});
      out.emplace(name, made.map([](const std::vector<float>& clip) {
        return computed({std::int64_t(clip.size())}, clip, assay::samples());
      }));
      const FrontEndStage* golden = one_.find(name);
      if (golden != nullptr && golden->whole())
        samples.push_back(golden->values);
      else if (made)
        samples.push_back(*std::move(made));
      else
        all = fail(made.error());
    }
    const ProcessorConfig& config = processor_.config();
    Result<AudioFeatures> features = all.and_then([&]() -> Result<AudioFeatures> {
      return config.unified ? steps_.raw_frames(samples, config.frame_width) : steps_.mel(samples, config.mel);
    });
    for (std::size_t n = 0; n < files.size(); ++n) {
      out.emplace(numbered("audio", n, "mel"), features.map([&](const AudioFeatures& of) {
        return features_of(n, of.values, of.frames, of.columns);
      }));
      out.emplace(numbered("audio", n, "mask"), features.map([&](const AudioFeatures& of) {
        return computed({of.frames}, std::span(of.mask).subspan(n * std::size_t(of.frames), std::size_t(of.frames)));
      }));
    }
  }

  Computed features_of(std::size_t n, std::span<const float> values, std::int64_t frames, std::int64_t columns) const {
    const auto each = std::size_t(frames * columns);
    return computed({frames, columns}, values.subspan(n * each, each),
                    processor_.config().unified ? assay::samples() : mel_features());
  }

  void generation(Stages& out) const {
    const Result<GenerationConfig> config = steps_.generation_config(checkpoint_);
    out.emplace("generation.stop_ids", config.map([](const GenerationConfig& of) { return of_ids(of.stop_ids); }));
    out.emplace("generation.suppress_ids",
                config.map([](const GenerationConfig& of) { return of_ids(of.suppress_ids); }));
    out.emplace("generation.sampling", config.map([](const GenerationConfig& of) {
      return computed({4}, std::array{of.do_sample ? 1.0 : 0.0, of.temperature, double(of.top_k), of.top_p});
    }));
    out.emplace("generation.ids", config.map([&](const GenerationConfig& of) { return of_ids(spoken(of)); }));
  }

  /// Greedily, of the request's logits, up to a stop token.
  std::vector<std::int64_t> spoken(GenerationConfig config) const {
    config.do_sample = false;
    Sampler sampler(config, 0);
    std::vector<std::int64_t> ids;
    for (const auto& step : request_.logits) {
      std::vector<float> row(std::size_t(std::max<std::int64_t>(processor_.tokenizer().size(), 1)), -1.0F);
      for (const auto& [id, value] : step)
        if (id < std::int64_t(row.size())) row[std::size_t(id)] = value;
      ids.push_back(sampler.next(row));
      if (std::ranges::find(config.stop_ids, ids.back()) != config.stop_ids.end()) break;
    }
    return ids;
  }

  Result<PromptBatch> process() const {
    const std::vector<std::string> texts = request_.batched ? request_.texts : std::vector<std::string>{prompt()};
    ProcessOptions options{
        .image_tokens = request_.image_tokens, .strict = request_.strict, .add_special = add_special()};
    options.sampling = sampling();
    return processor_.batch(texts, request_.media, options);
  }

  void pictures(const PromptBatch& made, const MediaFiles& all, Stages& out) const {
    const Tensor* pixels = find(made.media, "pixel_values");
    const Tensor* places = find(made.media, "image_position_ids");
    if (pixels == nullptr || places == nullptr) return;
    const auto values = pixels->floats();
    const auto positions = places->integers();
    const PatchSettings how = settings(processor_.config().image, true);
    const auto rows = std::size_t(how.rows());
    const auto each = rows * std::size_t(how.columns());
    for (std::size_t n = 0; n < all.images.size() && (n + 1) * each <= values->size(); ++n) {
      const Tolerance tolerance = patches(assay::resized(decode_tolerance(all.images[n])), scale_of(how));
      out.emplace(numbered("image", n, "patches"),
                  computed({how.rows(), how.columns()}, std::span(*values).subspan(n * each, each), tolerance));
      out.emplace(numbered("image", n, "positions"),
                  computed({how.rows(), 2}, std::span(*positions).subspan(n * rows * 2, rows * 2)));
    }
  }

  void films(const PromptBatch& made, const MediaFiles& all, Stages& out) const {
    const Tensor* pixels = find(made.media, "pixel_values_videos");
    const Tensor* places = find(made.media, "video_position_ids");
    const Tensor* frames = find(made.media, "num_frames_per_video");
    if (pixels == nullptr || places == nullptr || frames == nullptr) return;
    const auto values = pixels->floats();
    const auto positions = places->integers();
    const auto counts = frames->integers();
    const PatchSettings how = settings(processor_.config().video, false);
    const Tolerance tolerance = patches(assay::resized(film_decode()), scale_of(how));
    std::size_t first = 0;
    for (std::size_t n = 0; n < all.videos.size(); ++n) {
      const auto rows = std::size_t((*counts)[n]) * std::size_t(how.rows());
      const auto columns = std::size_t(how.columns());
      out.emplace(numbered("video", n, "patches"),
                  computed({std::int64_t(rows), how.columns()},
                           std::span(*values).subspan(first * columns, rows * columns), tolerance));
      out.emplace(numbered("video", n, "positions"),
                  computed({std::int64_t(rows), 2}, std::span(*positions).subspan(first * 2, rows * 2)));
      first += rows;
    }
  }

  void clips(const PromptBatch& made, Stages& out) const {
    const Tensor* features = find(made.media, "input_features");
    const Tensor* masks = find(made.media, "input_features_mask");
    if (features == nullptr || masks == nullptr) return;
    const auto values = features->floats();
    const auto mask = masks->integers();
    const auto frames = features->shape[1];
    const std::vector<fs::path> files = media().audio;
    for (std::size_t n = 0; n < files.size(); ++n) {
      Computed mel = features_of(n, *values, frames, features->shape[2]);
      if (lossy(files[n]) && !processor_.config().unified) mel.tolerance = mel_of_lossy(processor_.config().mel.floor);
      out.emplace(numbered("audio", n, "mel"), std::move(mel));
      out.emplace(numbered("audio", n, "mask"),
                  computed({frames}, std::span(*mask).subspan(n * std::size_t(frames), std::size_t(frames))));
    }
  }

  const FrontEndCase& one_;
  const Request& request_;
  const Processor& processor_;
  const FrontEnd& steps_;
  const fs::path& checkpoint_;
};

}  // namespace

int stage_order(std::string_view name) {
  constexpr std::array<std::string_view, 18> kOrder = {"text.rendered",
                                                       "text.ids",
                                                       "text.decoded",
                                                       ".indices",
                                                       ".decoded",
                                                       ".resized",
                                                       ".positions",
                                                       ".patches",
                                                       ".samples",
                                                       ".mask",
                                                       ".mel",
                                                       "layout.ids",
                                                       "layout.types",
                                                       "layout.mask",
                                                       "generation.stop_ids",
                                                       "generation.suppress_ids",
                                                       "generation.sampling",
                                                       "generation.ids"};
  const auto found = std::ranges::find(kOrder, name);
  if (found != kOrder.end()) return int(found - kOrder.begin());
  const auto numbered = std::ranges::find_if(kOrder, [&](std::string_view end) { return name.ends_with(end); });
  return int(numbered - kOrder.begin());
}

Result<std::vector<TapResult>> judge_stages(const FrontEndGolden& golden, const FrontEndCase& one,
                                            const FrontEnd& steps, std::string_view filter) {
  const std::string where = std::string(kFrontEnd) + "/" + one.name;
  ASSAY_TRY(request, parse_request(one.request, golden.files(), where));
  const fs::path checkpoint = golden.checkpoint(request.checkpoint);
  auto tokenizer = Tokenizer::open(request.tokenizer.empty() ? checkpoint : checkpoint / request.tokenizer);
  if (!tokenizer) return fail(std::move(tokenizer).error());
  ASSAY_TRY(processor, Processor::open(checkpoint, *tokenizer, steps));
  const Stager stager(one, request, processor, checkpoint);
  const Stages each = stager.each_stage();
  const bool media = std::ranges::any_of(one.stages, [](const auto& stage) {
    return !stage.name.starts_with("text.") && !stage.name.starts_with("generation.");
  });
  const Stages whole = media ? stager.whole() : Stages();

  std::vector<const FrontEndStage*> ordered;
  for (const FrontEndStage& stage : one.stages)
    if (filter_matches(filter, subject_of(kFrontEnd, one.name, "process", stage.name))) ordered.push_back(&stage);
  std::ranges::sort(ordered, {},
                    [](const FrontEndStage* stage) { return std::pair(stage_order(stage->name), stage->name); });
  std::vector<TapResult> results;
  for (const FrontEndStage* stage : ordered) {
    const auto found = each.find(stage->name);
    const auto in_one_go = whole.find(stage->name);
    if (found != each.end()) results.push_back(judged(*stage, found->second, "stage"));
    if (in_one_go != whole.end()) results.push_back(judged(*stage, in_one_go->second, "whole"));
    if (found == each.end() && in_one_go == whole.end())
      results.push_back(
          judged(*stage, fail({Failure::unsupported, where, stage->name, "a known stage", "another"}), "stage"));
  }
  return results;
}

}  // namespace assay
