#include "model/processor/processor_config.h"

#include <array>
#include <cmath>
#include <system_error>

#include <nlohmann/json.hpp>

#include "../json_check.h"
#include "base/files.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::size_t kLargestFile = std::size_t{32} << 20;  // a tokenizer_config.json may list a whole vocabulary
constexpr std::array<std::int64_t, 5> kSoftTokens = {70, 140, 280, 560, 1120};
constexpr int kBicubic = 3;  // PIL's number

/// The object in a file; null where there is no such file.
Result<json> read_object(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return json();
  ASSAY_TRY(text, read_file(file, kLargestFile));
  ASSAY_CHECK(check_json_object(text, file.string()));
  json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return fail({Failure::bad_input, file.string(), "", "a JSON object", "something else"});
  return object;
}

/// Reads keys of one section; the first that is wrong is kept.
class Section {
 public:
  Section(const json& object, std::string where, std::string prefix, std::optional<Failure>& failure)
      : object_(object), where_(std::move(where)), prefix_(std::move(prefix)), failure_(failure) {}

  bool null(const char* key) const { return object_.contains(key) && object_[key].is_null(); }
  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  std::int64_t integer(const char* key, std::int64_t fallback, std::int64_t low, std::int64_t high) {
    if (!has(key)) return fallback;
    const json& value = object_[key];
    const std::string range = std::to_string(low) + " to " + std::to_string(high);
    // 32.0 is a number of frames too
    const bool whole =
        value.is_number_integer() || (value.is_number_float() && value == std::floor(value.get<double>()));
    if (!whole || !(value.get<double>() >= double(low)) || !(value.get<double>() <= double(high)))
      return refuse(key, range), fallback;
    return value.get<std::int64_t>();
  }
  double real(const char* key, double fallback, double low, double high) {
    if (!has(key)) return fallback;
    const json& value = object_[key];
    if (!value.is_number() || !(value.get<double>() >= low) || !(value.get<double>() <= high))
      return refuse(key, json(low).dump() + " to " + json(high).dump()), fallback;
    return value.get<double>();
  }
  bool flag(const char* key, bool fallback) {
    if (!has(key)) return fallback;
    if (!object_[key].is_boolean()) return refuse(key, "true or false"), fallback;
    return object_[key].get<bool>();
  }
  std::vector<double> reals(const char* key, std::vector<double> fallback, std::size_t count) {
    if (!has(key)) return fallback;
    const json& value = object_[key];
    std::vector<double> numbers;
    if (value.is_array())
      for (const json& number : value)
        if (number.is_number() && std::isfinite(number.get<double>())) numbers.push_back(number.get<double>());
    if (numbers.size() != count || value.size() != count)
      return refuse(key, std::to_string(count) + " numbers"), fallback;
    return numbers;
  }
  std::string text(const char* key, std::string fallback) {
    if (!has(key)) return fallback;
    if (!object_[key].is_string()) return refuse(key, "a string"), fallback;
    return object_[key].get<std::string>();
  }
  void refuse(const char* key, std::string expected, Failure::Kind kind = Failure::bad_input) {
    if (failure_) return;
    std::string found = has(key) ? object_[key].dump(-1, ' ', false, json::error_handler_t::replace) : "none";
    if (found.size() > 80) found.replace(77, std::string::npos, "...");
    failure_ = Failure{kind, where_, prefix_ + key, std::move(expected), std::move(found)};
  }
  const std::string& where() const { return where_; }
  std::string path(const char* key) const { return prefix_ + key; }

 private:
  const json& object_;
  std::string where_, prefix_;
  std::optional<Failure>& failure_;
};

PatchSettings read_patches(Section& section, bool unified, PatchSettings settings, std::optional<Failure>& failure) {
  settings.merged = unified;
  settings.patch = int(section.integer("patch_size", settings.patch, 1, 256));
  settings.pool = int(section.integer("pooling_kernel_size", settings.pool, 1, 16));
  settings.soft_tokens = int(section.integer("max_soft_tokens", settings.soft_tokens, 1, 1 << 16));
  if (auto checked = check_soft_tokens(settings.soft_tokens, section.where(), section.path("max_soft_tokens"));
      !checked && !failure)
    failure = checked.error();
  settings.resize = section.flag("do_resize", settings.resize);
  settings.rescale = section.flag("do_rescale", true) ? section.real("rescale_factor", 1.0 / 255, 1e-9, 1e9) : 1.0;
  settings.normalize = section.flag("do_normalize", settings.normalize);
  settings.mean = section.reals("image_mean", settings.mean, 3);
  settings.std = section.reals("image_std", settings.std, 3);
  for (const double deviation : settings.std)
    if (deviation == 0) section.refuse("image_std", "numbers that are not 0");
  if (section.integer("resample", kBicubic, 0, 5) != kBicubic)
    section.refuse("resample", "3 (bicubic)", Failure::unsupported);
  return settings;
}

void read_mel(Section& section, MelSettings& mel) {
  mel.mels = int(section.integer("feature_size", mel.mels, 1, 4096));
  mel.frame_ms = section.real("frame_length_ms", mel.frame_ms, 0.01, 1e4);
  mel.hop_ms = section.real("hop_length_ms", mel.hop_ms, 0.01, 1e4);
  mel.low_hz = section.real("min_frequency", mel.low_hz, 0, 1e6);
  mel.high_hz = section.real("max_frequency", mel.high_hz, 0, 1e6);
  if (!(mel.high_hz > mel.low_hz)) section.refuse("max_frequency", "more than min_frequency");
  mel.floor = section.real("mel_floor", mel.floor, 1e-30, 1e6);
  mel.preemphasis = section.real("preemphasis", 0, 0, 1);
  mel.preemphasis_htk = section.flag("preemphasis_htk_flavor", true);
  mel.fft_overdrive = section.flag("fft_overdrive", false);
  mel.scale = section.real("input_scale_factor", 1, -1e9, 1e9);
  mel.padding = section.real("padding_value", 0, -1e9, 1e9);
  mel.mean = section.reals("per_bin_mean", {}, std::size_t(mel.mels));
  mel.std = section.reals("per_bin_stddev", {}, std::size_t(mel.mels));
  if (section.real("dither", 0, 0, 1e9) != 0)
    section.refuse("dither", "0: noise cannot be reproduced", Failure::unsupported);
}

bool names_unified(const json& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string() &&
         object[key].get<std::string>().find("nified") != std::string::npos;
}

}  // namespace

Result<void> check_soft_tokens(std::int64_t tokens, const std::string& where, const std::string& field) {
  for (const std::int64_t allowed : kSoftTokens)
    if (tokens == allowed) return {};
  return fail({Failure::bad_input, where, field, "70, 140, 280, 560 or 1120", std::to_string(tokens)});
}

Result<ProcessorConfig> read_processor_config(const fs::path& checkpoint) {
  const fs::path processor_file = checkpoint / "processor_config.json";
  const fs::path images_file = checkpoint / "preprocessor_config.json";
  const fs::path videos_file = checkpoint / "video_preprocessor_config.json";
  const fs::path tokens_file = checkpoint / "tokenizer_config.json";
  ASSAY_TRY(whole, read_object(processor_file));
  ASSAY_TRY(images, read_object(images_file));
  ASSAY_TRY(videos, read_object(videos_file));
  ASSAY_TRY(tokens, read_object(tokens_file));
  ASSAY_TRY(model, read_object(checkpoint / "config.json"));

  ProcessorConfig config{.where = checkpoint.string()};
  config.unified = names_unified(whole, "processor_class") || names_unified(images, "processor_class") ||
                   names_unified(images, "image_processor_type") || names_unified(model, "model_type");
  std::optional<Failure> failure;
  /// A section of processor_config.json, else a file of its own.
  const auto with = [&](const char* name, const json& file, const fs::path& path, const auto& read) {
    const bool nested = whole.is_object() && whole.contains(name);
    const json& object = nested ? whole[name] : file;
    if (object.is_null()) return;
    Section section(object, (nested ? processor_file : path).string(), nested ? std::string(name) + "." : "", failure);
    if (!object.is_object()) {
      if (!failure)
        failure = Failure{Failure::bad_input, processor_file.string(), name, "an object", object.type_name()};
      return;
    }
    read(section);
  };
  with("image_processor", images, images_file,
       [&](Section& section) { config.image = read_patches(section, config.unified, {}, failure); });
  const json& film_file = videos.is_null() ? images : videos;
  with("video_processor", film_file, videos.is_null() ? images_file : videos_file, [&](Section& section) {
    config.video = read_patches(section, config.unified, {.soft_tokens = 70, .normalize = true}, failure);
    config.sampling.sample = section.flag("do_sample_frames", true);
    if (!section.null("num_frames")) config.sampling.num_frames = int(section.integer("num_frames", 32, 1, 1 << 20));
    if (section.has("fps")) config.sampling.fps = section.real("fps", 1, 1e-6, 1e6);
  });
  with("feature_extractor",
       images.contains("feature_extractor_type") || images.contains("sampling_rate") ? images : json(), images_file,
       [&](Section& section) {
         config.audio = true;
         config.mel.rate = int(section.integer("sampling_rate", 16000, 100, 1'000'000));
         if (section.text("padding_side", "right") != "right")
           section.refuse("padding_side", "right", Failure::unsupported);
         if (config.unified)
           config.frame_width = int(section.integer("audio_samples_per_token", 640, 1, 1 << 20));
         else
           read_mel(section, config.mel);
       });
  if (tokens.is_object()) {
    Section section(tokens, tokens_file.string(), "", failure);
    config.pad_left = section.text("padding_side", "left") == "left";
    MediaTokens& media = config.tokens;
    const std::array<std::pair<const char*, std::string*>, 6> names = {{{"image_token", &media.image},
                                                                        {"boi_token", &media.begin_image},
                                                                        {"eoi_token", &media.end_image},
                                                                        {"audio_token", &media.audio},
                                                                        {"boa_token", &media.begin_audio},
                                                                        {"eoa_token", &media.end_audio}}};
    const bool nested =
        tokens.contains("model_specific_special_tokens") && tokens["model_specific_special_tokens"].is_object();
    for (const auto& [key, name] : names) {
      const json& object = !tokens.contains(key) && nested ? tokens["model_specific_special_tokens"] : tokens;
      *name = Section(object, tokens_file.string(), "", failure).text(key, *name);
      if (name->empty() || name->size() > 256) section.refuse(key, "1 to 256 bytes");
    }
  }
  if (failure) return fail(*std::move(failure));
  return config;
}

}  // namespace assay
