// Faults of sound up to its features and its places in the prompt: rows E1 to E5, E13, F4, K5. Not here: pictures
// (picture.cc), the tower.
#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <utility>

#include "base/files.h"
#include "harness/faults/fault.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

using Bend = std::function<void(FrontEnd&)>;
using Clips = FrontEnd::Clips;

Fault at(std::string_view stage, std::string_view name, std::string_view row, std::string_view what,
         std::string_view shipped_in, Bend bend) {
  return {.name = name, .row = row, .what = what, .shipped_in = shipped_in, .stage = stage, .bend = std::move(bend)};
}

// A second log-mel front end, each step of which may be another. Without a change it gives what log_mel gives.

double hann(double i, double length) { return 0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / length); }
double htk(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
/// Linear below 1000 Hz, logarithmic above.
double slaney(double hertz) {
  return hertz < 1000 ? hertz * 3 / 200 : 15 + std::log(hertz / 1000) * 27 / std::log(6.4);
}

struct Steps {
  std::function<double(double i, double length)> window = hann;
  std::function<double(std::complex<double>)> strength = [](std::complex<double> value) { return std::abs(value); };
  std::function<double(double)> mel_of = htk;
  bool filters_of_one_area = false;
  std::function<double(double mel, double floor)> logarithm = [](double mel, double floor) {
    return std::log(mel + floor);
  };
  bool left_padding = true;  ///< half a frame before the clip
  bool clips_to_the_right = false;
  int looks_ahead = 1;  ///< samples behind a frame that must be there
  /// Whether a frame counts, by the first of its samples and the one behind its last, of the clip's own.
  std::function<bool(std::int64_t first, std::int64_t end, std::int64_t own)> valid =
      [](std::int64_t, std::int64_t end, std::int64_t own) { return end <= own; };
  bool zero_where_padded = true;
};

void transform(std::vector<std::complex<double>>& values) {
  const std::size_t n = values.size();
  if (n == 1) return;
  std::vector<std::complex<double>> even(n / 2), odd(n / 2);
  for (std::size_t i = 0; i < n / 2; ++i) {
    even[i] = values[2 * i];
    odd[i] = values[2 * i + 1];
  }
  transform(even);
  transform(odd);
  for (std::size_t i = 0; i < n / 2; ++i) {
    const std::complex<double> turned = std::polar(1.0, -2 * std::numbers::pi * double(i) / double(n)) * odd[i];
    values[i] = even[i] + turned;
    values[i + n / 2] = even[i] - turned;
  }
}

/// [mels][bins]
std::vector<std::vector<double>> filters(const MelSettings& settings, const Steps& steps) {
  const int bins = settings.transform() / 2 + 1;
  const double low = steps.mel_of(settings.low_hz), high = steps.mel_of(settings.high_hz);
  const auto hertz_of = [&](double mel) {  // by bisection: the scales rise
    double from = 0, to = settings.high_hz * 2;
    for (int i = 0; i < 60; ++i) (steps.mel_of((from + to) / 2) < mel ? from : to) = (from + to) / 2;
    return (from + to) / 2;
  };
  std::vector<double> edges;
  for (int i = 0; i < settings.mels + 2; ++i) edges.push_back(hertz_of(low + (high - low) * i / (settings.mels + 1)));
  std::vector<std::vector<double>> all;
  for (std::size_t mel = 0; mel + 2 < edges.size(); ++mel) {
    all.emplace_back();
    for (int bin = 0; bin < bins; ++bin) {
      const double hertz = settings.rate / 2.0 * bin / (bins - 1);
      const double up = (hertz - edges[mel]) / (edges[mel + 1] - edges[mel]);
      const double down = (edges[mel + 2] - hertz) / (edges[mel + 2] - edges[mel + 1]);
      const double area = steps.filters_of_one_area ? 2 / (edges[mel + 2] - edges[mel]) : 1;
      all.back().push_back(std::max(0.0, std::min(up, down)) * area);
    }
  }
  return all;
}

Result<AudioFeatures> features(Clips clips, const MelSettings& settings, const Steps& steps) {
  // What is not bent here is left to the true one: its checks, and the settings that `steps` does not know.
  if (settings.preemphasis != 0 || !settings.mean.empty() || settings.scale != 1 || clips.empty())
    return log_mel(clips, settings);
  std::int64_t longest = 0;
  const auto own_of = [&](const std::vector<float>& clip) {
    return std::min(std::int64_t(clip.size()), settings.cut());
  };
  for (const std::vector<float>& clip : clips) longest = std::max(longest, own_of(clip));
  longest = (longest + settings.multiple - 1) / settings.multiple * settings.multiple;
  const std::int64_t left = steps.left_padding ? settings.frame() / 2 : 0;
  const std::int64_t span = settings.frame() + steps.looks_ahead;
  const std::vector<std::vector<double>> bank = filters(settings, steps);
  AudioFeatures made{.clips = int(clips.size()), .frames = 0, .columns = settings.mels};
  if (longest + left >= span) made.frames = int((longest + left - span) / settings.hop() + 1);
  for (const std::vector<float>& clip : clips) {
    const std::int64_t own = own_of(clip), shift = steps.clips_to_the_right ? longest - own : 0;
    for (int t = 0; t < made.frames; ++t) {
      const std::int64_t first = std::int64_t{t} * settings.hop() - left - shift;  // in the clip
      const bool valid = steps.valid(first, first + span, own);
      made.mask.push_back(valid ? 1 : 0);
      if (!valid && steps.zero_where_padded) {
        made.values.insert(made.values.end(), std::size_t(settings.mels), 0.0F);
        continue;
      }
      std::vector<std::complex<double>> spectrum(std::size_t(settings.transform()));
      for (int i = 0; i < settings.frame(); ++i)
        if (first + i >= 0 && first + i < own)
          // Rounded as numpy rounds an fp32 window and its product: under quiet bins that is what one hears.
          spectrum[std::size_t(i)] = double{clip[std::size_t(first + i)] * float(steps.window(i, settings.frame()))};
      transform(spectrum);
      for (const std::vector<double>& filter : bank) {
        double sum = 0;
        for (std::size_t bin = 0; bin < filter.size(); ++bin)
          if (filter[bin] != 0) sum += double{float(steps.strength(spectrum[bin]))} * filter[bin];
        made.values.push_back(float(steps.logarithm(sum, settings.floor)));
      }
    }
  }
  return made;
}

Bend mel(std::function<void(Steps&)> edit) {
  return [edit](FrontEnd& table) {
    Steps steps;
    edit(steps);
    table.mel = [steps](Clips clips, const MelSettings& settings) { return features(clips, settings, steps); };
  };
}

/// transformers' own steps with other settings.
Bend settings(std::function<void(MelSettings&)> edit) {
  return [edit](FrontEnd& table) {
    table.mel = [edit](Clips clips, MelSettings settings) {
      edit(settings);
      return log_mel(clips, settings);
    };
  };
}

// Samples.

struct Header {
  int rate = 0, channels = 0;
};

/// Of a RIFF or a FLAC file; zeros for others.
Header header_of(const FrontEnd::Path& path) {
  const auto bytes = read_file(path, std::size_t{64} << 20U);
  if (!bytes || bytes->size() < 32) return {};
  const auto byte = [&](std::size_t i) { return int(static_cast<unsigned char>((*bytes)[i])); };
  if (bytes->starts_with("RIFF")) return {byte(24) | byte(25) << 8 | byte(26) << 16, byte(22)};
  if (bytes->starts_with("fLaC")) return {byte(18) << 12 | byte(19) << 4 | byte(20) >> 4, (byte(20) >> 1 & 7) + 1};
  return {};
}

void not_resampled(FrontEnd& table) {
  table.decode_audio = [](const FrontEnd::Path& path, int rate, const AudioLimits& limits) {
    const Header header = header_of(path);
    return decode_audio(path, header.rate > 0 ? header.rate : rate, limits);
  };
}

void resampled_on_lines(FrontEnd& table) {
  table.decode_audio = [](const FrontEnd::Path& path, int rate,
                          const AudioLimits& limits) -> Result<std::vector<float>> {
    const Header header = header_of(path);
    if (header.rate == 0 || header.rate == rate) return decode_audio(path, rate, limits);
    ASSAY_TRY(own, decode_audio(path, header.rate));
    std::vector<float> out(std::size_t(std::ceil(double(own.size()) * rate / header.rate)));
    for (std::size_t i = 0; i < out.size(); ++i) {
      const double where = double(i) * header.rate / rate;
      const auto low = std::min(std::size_t(where), own.size() - 1);
      const float high = own[std::min(low + 1, own.size() - 1)];
      out[i] = own[low] + float(where - double(low)) * (high - own[low]);
    }
    return out;
  };
}

Bend samples(float (*of)(float sample, const Header&)) {
  return [of](FrontEnd& table) {
    table.decode_audio = [of](const FrontEnd::Path& path, int rate,
                              const AudioLimits& limits) -> Result<std::vector<float>> {
      ASSAY_TRY(made, decode_audio(path, rate, limits));
      const Header header = header_of(path);
      for (float& sample : made) sample = of(sample, header);
      return made;
    };
  };
}

// Frames of the unified model.

Bend frames(std::function<void(AudioFeatures&, Clips, std::size_t width)> edit) {
  return [edit](FrontEnd& table) {
    table.raw_frames = [edit](Clips clips, int width) -> Result<AudioFeatures> {
      ASSAY_TRY(made, raw_frames(clips, width));
      edit(made, clips, std::size_t(width));
      return made;
    };
  };
}

void last_frame_padding(AudioFeatures& made, Clips clips, std::size_t width) {
  for (std::size_t c = 0; c < clips.size(); ++c)
    if (clips[c].size() % width != 0) made.mask[c * std::size_t(made.frames) + clips[c].size() / width] = 0;
}

// The prompt.

Bend tokens(std::function<int(std::span<const std::int64_t> mask, bool unified)> of) {
  return [of](FrontEnd& table) { table.audio_tokens = of; };
}

int valid(std::span<const std::int64_t> mask) { return int(std::ranges::count(mask, 1)); }

int right_tokens(std::span<const std::int64_t> mask, bool unified) {
  return unified ? valid(mask) : soft_tokens_of_mel(mask);
}

std::vector<Fault> decoding() {
  constexpr std::string_view k = "audio.samples";
  return {
      at(k, "sound-not-resampled", "E4", "Samples keep the file's own rate.", "lablup/mlxcel#438", not_resampled),
      at(k, "sound-resampled-on-lines", "x", "Straight lines between samples instead of a filter.", "",
         resampled_on_lines),
      at(k, "sound-channels-summed", "x", "Channels are added, not averaged.", "",
         samples([](float sample, const Header& header) { return sample * float(std::max(header.channels, 1)); })),
      at(k, "sound-as-integers", "x", "Samples of 16 bits are not divided by 32768.", "",
         samples([](float sample, const Header&) { return sample * 32768; })),
      at(k, "sound-by-32767", "x", "Samples of 16 bits are divided by 32767.", "",
         samples([](float sample, const Header&) { return sample * 32768 / 32767; })),
  };
}

std::vector<Fault> frames_of_mel() {
  constexpr std::string_view k = "audio.mask";
  return {
      at(k, "mel-frame-320", "E1", "A frame needs 320 samples, not 321.", "lablup/mlxcel#796",
         mel([](Steps& steps) { steps.looks_ahead = 0; })),
      at(k, "mel-not-padded-left", "E2", "No 160 samples of silence before the clip.", "Blaizzy/mlx-vlm#931",
         mel([](Steps& steps) { steps.left_padding = false; })),
      at(k, "mel-clips-padded-left", "E5", "The shorter clips of a batch are padded on the left.",
         "unslothai/unsloth-zoo#747", mel([](Steps& steps) {
           steps.clips_to_the_right = true;
           steps.valid = [](std::int64_t, std::int64_t end, std::int64_t own) { return end > 0 && end <= own; };
         })),
      at(k, "mel-mask-by-first-sample", "x", "A frame counts where its first sample is the clip's own.", "class of E5",
         mel([](Steps& steps) {
           steps.valid = [](std::int64_t first, std::int64_t, std::int64_t own) { return first < own; };
         })),
      at(k, "mel-mask-of-ones", "E13", "Every frame counts, padding too.", "class of unslothai/unsloth-zoo#747",
         mel([](Steps& steps) { steps.valid = [](std::int64_t, std::int64_t, std::int64_t) { return true; }; })),
      at(k, "mel-not-cut", "x", "A clip may be longer than 30 seconds.", "",
         settings([](MelSettings& settings) { settings.max_samples *= 4; })),
      at(k, "mel-hop-of-128", "x", "A frame every 8 ms.", "",
         settings([](MelSettings& settings) { settings.hop_ms = 8; })),
  };
}

std::vector<Fault> values_of_mel() {
  constexpr std::string_view k = "audio.mel";
  const auto window = [](double (*of)(double, double)) { return mel([of](Steps& steps) { steps.window = of; }); };
  const auto logarithm = [](double (*of)(double, double)) { return mel([of](Steps& steps) { steps.logarithm = of; }); };
  return {
      at(k, "mel-fft-1024", "E1", "The Fourier transform has twice the length.", "lablup/mlxcel#796",
         settings([](MelSettings& settings) { settings.fft_overdrive = !settings.fft_overdrive; })),
      at(k, "mel-floor-clamped", "E1", "ln(max(mel, floor)) instead of ln(mel + floor).", "lablup/mlxcel#796",
         logarithm([](double mel, double floor) { return std::log(std::max(mel, floor)); })),
      at(k, "mel-floor-of-whisper", "x", "The floor is 1e-10.", "",
         settings([](MelSettings& settings) { settings.floor = 1e-10; })),
      at(k, "mel-log10", "x", "Logarithms to the base 10.", "",
         logarithm([](double mel, double floor) { return std::log10(mel + floor); })),
      at(k, "mel-window-half-sample", "E3", "The window is sampled in the middle between samples.",
         "Blaizzy/mlx-vlm#931", window([](double i, double length) { return hann(i + 0.5, length); })),
      at(k, "mel-window-symmetric", "E3", "The window is symmetric, not periodic.", "class of Blaizzy/mlx-vlm#931",
         window([](double i, double length) { return hann(i, length - 1); })),
      at(k, "mel-window-hamming", "x", "A Hamming window.", "",
         window([](double i, double length) { return 0.08 + 0.92 * hann(i, length); })),
      at(k, "mel-window-missing", "x", "No window.", "", window([](double, double) { return 1.0; })),
      at(k, "mel-power", "x", "The spectrum's squares instead of its magnitudes.", "",
         mel([](Steps& steps) { steps.strength = [](std::complex<double> value) { return std::norm(value); }; })),
      at(k, "mel-scale-of-slaney", "x", "Slaney's mel scale, librosa's default.", "",
         mel([](Steps& steps) { steps.mel_of = slaney; })),
      at(k, "mel-filters-of-one-area", "x", "Filters of one area, librosa's default.", "",
         mel([](Steps& steps) { steps.filters_of_one_area = true; })),
      at(k, "mel-band-of-speech", "x", "Filters from 125 to 7600 Hz, as in Gemma 3n.", "",
         settings([](MelSettings& settings) {
           settings.low_hz = 125;
           settings.high_hz = 7600;
         })),
      at(k, "mel-preemphasis", "x", "Preemphasis of 0.97, as in Gemma 3n.", "",
         settings([](MelSettings& settings) { settings.preemphasis = 0.97; })),
      at(k, "mel-80-bins", "x", "80 bins.", "", settings([](MelSettings& settings) {
           settings.mels = 80;
           settings.mean.clear();
           settings.std.clear();
         })),
      at(k, "mel-normalised-by-bin", "x", "Each bin less its mean over the clip.", "",
         [](FrontEnd& table) {
           table.mel = [](Clips clips, const MelSettings& settings) -> Result<AudioFeatures> {
             ASSAY_TRY(made, log_mel(clips, settings));
             const auto columns = std::size_t(made.columns);
             for (std::size_t column = 0; column < columns; ++column) {
               double sum = 0;
               for (std::size_t i = column; i < made.values.size(); i += columns) sum += double{made.values[i]};
               const auto mean = float(sum / double(std::max(1, made.clips * made.frames)));
               for (std::size_t i = column; i < made.values.size(); i += columns) made.values[i] -= mean;
             }
             return made;
           };
         }),
      at(k, "mel-statistics-ignored", "x", "per_bin_mean and per_bin_stddev are not read.", "",
         settings([](MelSettings& settings) {
           settings.mean.clear();
           settings.std.clear();
         })),
      at(k, "mel-padding-not-zero", "x", "Padded frames hold the logarithm of the floor instead of 0.", "",
         mel([](Steps& steps) { steps.zero_where_padded = false; })),
  };
}

std::vector<Fault> unified() {
  return {
      at("audio.mask", "frames-last-dropped", "x", "The last frame, not full, counts as padding.", "",
         frames(last_frame_padding)),
      at("audio.mel", "frames-centred", "x", "Each frame less its mean.", "",
         frames([](AudioFeatures& made, Clips, std::size_t width) {
           for (std::size_t at = 0; at + width <= made.values.size(); at += width) {
             double sum = 0;
             for (std::size_t i = 0; i < width; ++i) sum += double{made.values[at + i]};
             for (std::size_t i = 0; i < width; ++i) made.values[at + i] -= float(sum / double(width));
           }
         })),
      at("audio.mel", "frames-at-the-end", "x", "The last frame is filled up at its beginning.", "",
         frames([](AudioFeatures& made, Clips clips, std::size_t width) {
           for (std::size_t c = 0; c < clips.size(); ++c) {
             const std::size_t own = clips[c].size() % width;
             const auto at =
                 made.values.begin() + std::ptrdiff_t((c * std::size_t(made.frames) + clips[c].size() / width) * width);
             if (own != 0) std::rotate(at, at + std::ptrdiff_t(own), at + std::ptrdiff_t(width));
           }
         })),
  };
}

std::vector<Fault> layout() {
  constexpr std::string_view k = "layout.ids";
  return {
      at(k, "sound-tokens-quartered", "F4", "Unified: a soft token for every four frames, as with a tower.",
         "class of the unified processor", tokens([](std::span<const std::int64_t> mask, bool unified) {
           return unified ? (valid(mask) + 3) / 4 : soft_tokens_of_mel(mask);
         })),
      at(k, "sound-tokens-rounded-down", "x", "A quarter of the frames, rounded down.", "class of E5",
         tokens(
             [](std::span<const std::int64_t> mask, bool unified) { return unified ? valid(mask) : valid(mask) / 4; })),
      at(k, "sound-tokens-one-more", "E5", "One soft token more than the tower gives.", "unslothai/unsloth-zoo#747",
         tokens([](std::span<const std::int64_t> mask, bool unified) { return right_tokens(mask, unified) + 1; })),
      at(k, "sound-tokens-of-padding", "E13", "Soft tokens for the padding of the shorter clips too.",
         "class of unslothai/unsloth-zoo#747", tokens([](std::span<const std::int64_t> mask, bool unified) {
           return unified ? int(mask.size()) : int(mask.size() + 3) / 4;
         })),
      at(k, "sound-tokens-750", "x", "audio_seq_length soft tokens, however short the clip.", "",
         tokens([](std::span<const std::int64_t>, bool) { return 750; })),
      at(k, "sound-dropped", "K5", "No feature extractor in the converted configuration: sound is left out.",
         "Blaizzy/mlx-vlm#903",
         [](FrontEnd& table) { table.audio_text = [](const MediaTokens&, int) { return std::string(); }; }),
      at(k, "sound-without-borders", "x", "No tokens that begin and end a clip.", "",
         [](FrontEnd& table) {
           table.audio_text = [](const MediaTokens& tokens, int count) {
             std::string text;
             for (int i = 0; i < count; ++i) text += tokens.audio;
             return text;
           };
         }),
      at(k, "sound-in-the-borders-of-pictures", "x", "A picture's tokens begin and end a clip.", "",
         [](FrontEnd& table) {
           table.audio_text = [right = table.audio_text](MediaTokens tokens, int count) {
             tokens.begin_audio = tokens.begin_image;
             tokens.end_audio = tokens.end_image;
             return right(tokens, count);
           };
         }),
  };
}

Fault control() {
  Fault same = at("audio.mel", "mel-in-another-order", "-",
                  "The log-mel front end written a second time: filters by bisection, a recursive transform.", "-",
                  mel([](Steps&) {}));
  same.control = true;
  return same;
}

}  // namespace

std::vector<Fault> sound_faults() {
  std::vector<Fault> all;
  for (auto* part : {decoding, frames_of_mel, values_of_mel, unified, layout})
    for (Fault& fault : part()) all.push_back(std::move(fault));
  all.push_back(control());
  return all;
}

}  // namespace assay
