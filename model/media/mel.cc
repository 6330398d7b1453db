#include "model/media/mel.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>

namespace assay {
namespace {

using Complex = std::complex<double>;

double mel_of(double hertz) { return 2595.0 * std::log10(1.0 + hertz / 700.0); }
double hertz_of(double mel) { return 700.0 * (std::pow(10.0, mel / 2595.0) - 1.0); }

/// i-th of n numbers from a to b, as numpy's linspace makes them.
double linspace(double a, double b, int i, int n) { return i == n - 1 ? b : a + double(i) * ((b - a) / double(n - 1)); }

/// A triangle over frequencies, on the bins where it is not zero.
struct Filter {
  int first = 0;
  std::vector<double> weights;
};

std::vector<Filter> make_filters(const MelSettings& settings) {
  const int bins = settings.transform() / 2 + 1;
  std::vector<double> edges(std::size_t(settings.mels) + 2);
  for (int i = 0; i < settings.mels + 2; ++i)
    edges[std::size_t(i)] = hertz_of(linspace(mel_of(settings.low_hz), mel_of(settings.high_hz), i, settings.mels + 2));
  std::vector<Filter> filters(static_cast<std::size_t>(settings.mels));
  const double nyquist = settings.rate / 2;  // NOLINT(bugprone-integer-division): Python's // on purpose
  for (std::size_t mel = 0; mel < filters.size(); ++mel)
    for (int bin = 0; bin < bins; ++bin) {
      const double hertz = linspace(0, nyquist, bin, bins);
      const double down = -(edges[mel] - hertz) / (edges[mel + 1] - edges[mel]);
      const double up = (edges[mel + 2] - hertz) / (edges[mel + 2] - edges[mel + 1]);
      const double weight = std::max(0.0, std::min(down, up));
      if (filters[mel].weights.empty()) {
        if (weight == 0) continue;
        filters[mel].first = bin;
      }
      filters[mel].weights.push_back(weight);
    }
  return filters;
}

/// Fourier transform in place; the length is a power of two.
class Fourier {
 public:
  explicit Fourier(std::size_t length) : roots_(length / 2) {
    for (std::size_t i = 0; i < roots_.size(); ++i)
      roots_[i] = std::polar(1.0, -2.0 * std::numbers::pi * double(i) / double(length));
  }

  void operator()(std::vector<Complex>& values) const {
    const std::size_t n = values.size();
    for (std::size_t i = 1, j = 0; i < n; ++i) {
      std::size_t bit = n >> 1U;
      for (; (j & bit) != 0; bit >>= 1U) j ^= bit;
      j |= bit;
      if (i < j) std::swap(values[i], values[j]);
    }
    for (std::size_t length = 2; length <= n; length *= 2)
      for (std::size_t start = 0; start < n; start += length)
        for (std::size_t i = 0; i < length / 2; ++i) {
          const Complex low = values[start + i];
          const Complex high = values[start + i + length / 2] * roots_[i * (n / length)];
          values[start + i] = low + high;
          values[start + i + length / 2] = low - high;
        }
  }

 private:
  std::vector<Complex> roots_;
};

Result<void> check(const MelSettings& settings) {
  const auto wrong = [](std::string field, std::string expected, double found) {
    return fail(
        {Failure::bad_input, "feature extractor", std::move(field), std::move(expected), std::to_string(found)});
  };
  if (settings.mels < 1 || settings.mels > 4096) return wrong("feature_size", "1 to 4096", settings.mels);
  if (settings.rate < 100 || settings.rate > 1'000'000) return wrong("sampling_rate", "100 to 1000000", settings.rate);
  if (!(settings.frame_ms > 0) || settings.frame() < 2 || settings.frame() > (1 << 16))
    return wrong("frame_length_ms", "a frame of 2 to 65536 samples", settings.frame_ms);
  if (!(settings.hop_ms > 0) || settings.hop() < 1 || settings.hop() > (1 << 16))
    return wrong("hop_length_ms", "a step of 1 to 65536 samples", settings.hop_ms);
  if (!(settings.low_hz >= 0)) return wrong("min_frequency", "0 or more", settings.low_hz);
  if (!(settings.high_hz > settings.low_hz) || !std::isfinite(settings.high_hz))
    return wrong("max_frequency", "more than min_frequency", settings.high_hz);
  if (!(settings.floor > 0) || !std::isfinite(settings.floor)) return wrong("mel_floor", "more than 0", settings.floor);
  if (settings.multiple < 1) return wrong("pad_to_multiple_of", "1 or more", settings.multiple);
  if (settings.max_samples < 1) return wrong("max_length", "1 or more", double(settings.max_samples));
  for (const auto* values : {&settings.mean, &settings.std})
    if (!values->empty() && values->size() != std::size_t(settings.mels))
      return wrong("per_bin_mean or per_bin_stddev", "a value a bin", double(values->size()));
  return {};
}

std::int64_t rounded_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Makes features of frames, one after the other.
class Analyser {
 public:
  explicit Analyser(const MelSettings& settings)
      : settings_(settings),
        filters_(make_filters(settings)),
        fourier_(std::size_t(settings.transform())),
        window_(static_cast<std::size_t>(settings.frame())),
        spectrum_(std::size_t(settings.transform())),
        magnitude_(spectrum_.size() / 2 + 1) {
    const double length = settings.frame();  // periodic Hann: one sample longer, without its last
    for (std::size_t i = 0; i < window_.size(); ++i)
      window_[i] = float(0.5 + 0.5 * std::cos(std::numbers::pi * (2.0 * double(i) - length) / length));
  }

  /// @param samples  [frame + 1]; the last is only looked at by preemphasis
  void operator()(std::span<const float> samples, std::span<float> out) {
    const auto pre = float(settings_.preemphasis);
    std::fill(spectrum_.begin(), spectrum_.end(), Complex());
    for (std::size_t i = 0; i < window_.size(); ++i) {
      float sample = samples[i];
      if (settings_.preemphasis > 0) {
        if (!settings_.preemphasis_htk)
          sample = samples[i + 1] - pre * samples[i];
        else
          sample = i == 0 ? samples[0] * float(1.0 - settings_.preemphasis) : samples[i] - pre * samples[i - 1];
      }
      spectrum_[i] = double{sample * window_[i]};  // rounded to fp32, as numpy multiplies two fp32 arrays
    }
    fourier_(spectrum_);
    for (std::size_t i = 0; i < magnitude_.size(); ++i) magnitude_[i] = double{float(std::abs(spectrum_[i]))};
    for (std::size_t mel = 0; mel < filters_.size(); ++mel) {
      double sum = 0;
      const Filter& filter = filters_[mel];
      for (std::size_t i = 0; i < filter.weights.size(); ++i)
        sum += magnitude_[std::size_t(filter.first) + i] * filter.weights[i];
      double value = std::log(sum + settings_.floor);
      if (!settings_.mean.empty()) value -= settings_.mean[mel];
      if (!settings_.std.empty()) value /= settings_.std[mel];
      out[mel] = float(value);
    }
  }

 private:
  const MelSettings& settings_;
  std::vector<Filter> filters_;
  Fourier fourier_;
  std::vector<float> window_;
  std::vector<Complex> spectrum_;
  std::vector<double> magnitude_;
};

}  // namespace

// Python's round() takes halves to the even neighbour; so does nearbyint.
int MelSettings::frame() const { return int(std::nearbyint(double(rate) * frame_ms / 1000.0)); }
int MelSettings::hop() const { return int(std::nearbyint(double(rate) * hop_ms / 1000.0)); }

int MelSettings::transform() const {
  int length = 1;
  while (length < frame()) length *= 2;
  return fft_overdrive ? 2 * length : length;
}

std::int64_t MelSettings::cut() const { return rounded_up(max_samples, multiple); }

Result<AudioFeatures> log_mel(std::span<const std::vector<float>> clips, const MelSettings& settings) {
  ASSAY_CHECK(check(settings));
  if (clips.empty()) return fail({Failure::bad_input, "feature extractor", "", "at least one clip", "none"});
  std::int64_t longest = 0;
  for (const std::vector<float>& clip : clips)
    longest = std::max(longest, std::min(std::int64_t(clip.size()), settings.cut()));
  longest = rounded_up(longest, settings.multiple);

  const std::int64_t left = settings.frame() / 2;  // so that the first frame's middle is the first sample
  const std::int64_t span = settings.frame() + 1;
  const std::int64_t hop = settings.hop();
  AudioFeatures features{.clips = int(clips.size()), .frames = 0, .columns = settings.mels};
  if (longest + left >= span) features.frames = int((longest + left - span) / hop + 1);
  const auto frames = std::size_t(features.frames);
  const auto columns = std::size_t(settings.mels);
  features.values.assign(clips.size() * frames * columns, 0);
  features.mask.assign(clips.size() * frames, 0);
  Analyser analyse(settings);
  for (std::size_t c = 0; c < clips.size(); ++c) {
    const std::int64_t own = std::min(std::int64_t(clips[c].size()), settings.cut());
    std::vector<float> samples(std::size_t(left + longest), 0);
    for (std::int64_t i = 0; i < longest; ++i) {
      const float sample = i < own ? clips[c][std::size_t(i)] : float(settings.padding);
      samples[std::size_t(left + i)] = settings.scale == 1 ? sample : sample * float(settings.scale);
    }
    for (std::size_t t = 0; t < frames; ++t) {
      const std::int64_t first = std::int64_t(t) * hop;
      if (first + span > left + own) continue;  // not all its own: masked, and zero
      features.mask[c * frames + t] = 1;
      analyse(std::span(samples).subspan(std::size_t(first), std::size_t(span)),
              std::span(features.values).subspan((c * frames + t) * columns, columns));
    }
  }
  return features;
}

Result<AudioFeatures> raw_frames(std::span<const std::vector<float>> clips, int width) {
  if (clips.empty()) return fail({Failure::bad_input, "feature extractor", "", "at least one clip", "none"});
  if (width < 1 || width > (1 << 20))
    return fail(
        {Failure::bad_input, "feature extractor", "audio_samples_per_token", "1 to 2^20", std::to_string(width)});
  const auto columns = std::size_t(width);
  std::size_t frames = 0;
  for (const std::vector<float>& clip : clips) {
    if (clip.empty()) return fail({Failure::bad_input, "feature extractor", "", "clips with samples", "an empty one"});
    frames = std::max(frames, (clip.size() + columns - 1) / columns);
  }
  AudioFeatures features{.clips = int(clips.size()), .frames = int(frames), .columns = width};
  features.values.assign(clips.size() * frames * columns, 0);
  features.mask.assign(clips.size() * frames, 0);
  for (std::size_t c = 0; c < clips.size(); ++c) {
    std::copy(clips[c].begin(), clips[c].end(), features.values.begin() + std::ptrdiff_t(c * frames * columns));
    const std::size_t own = (clips[c].size() + columns - 1) / columns;
    std::fill_n(features.mask.begin() + std::ptrdiff_t(c * frames), own, 1);
  }
  return features;
}

int soft_tokens_of_mel(std::span<const std::int64_t> mask) {
  int count = 0;
  for (std::size_t i = 0; i < mask.size(); i += 4) count += mask[i] != 0 ? 1 : 0;
  return count;
}

}  // namespace assay
