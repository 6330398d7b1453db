#include "model/media/audio.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

extern "C" {
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

#include "model/media/ffmpeg.h"

namespace assay {
namespace {

constexpr int kMaxRate = 1'000'000;
constexpr int kMaxChannels = 64;
constexpr float kLoudest = 1e30F;    // sums of frames stay finite
constexpr std::int64_t kSlack = 64;  // samples past the cut, so that the end of the film cannot show in it

template <class T>
T load(const std::uint8_t* bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes + index * sizeof(T), sizeof(T));
  return value;
}

/// One sample as a float of -1 to 1.
float sample_of(AVSampleFormat packed, const std::uint8_t* bytes, std::size_t index) {
  switch (packed) {
    case AV_SAMPLE_FMT_U8: return float(int{bytes[index]} - 128) / 128.0F;
    case AV_SAMPLE_FMT_S16: return float(load<std::int16_t>(bytes, index)) * 0x1p-15F;
    case AV_SAMPLE_FMT_S32: return float(load<std::int32_t>(bytes, index)) * 0x1p-31F;
    case AV_SAMPLE_FMT_S64: return float(load<std::int64_t>(bytes, index)) * 0x1p-63F;
    case AV_SAMPLE_FMT_FLT: return load<float>(bytes, index);
    case AV_SAMPLE_FMT_DBL: return float(load<double>(bytes, index));
    default: return std::numeric_limits<float>::quiet_NaN();
  }
}

/// The channels' mean, in fp32 as numpy takes it.
void mix(const AVFrame& frame, int channels, std::vector<float>& out) {
  const auto format = AVSampleFormat(frame.format);
  const bool planar = av_sample_fmt_is_planar(format) != 0;
  const AVSampleFormat packed = av_get_packed_sample_fmt(format);
  out.resize(std::size_t(frame.nb_samples));
  for (std::size_t i = 0; i < out.size(); ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < std::size_t(channels); ++c)
      sum += planar ? sample_of(packed, frame.extended_data[c], i)
                    : sample_of(packed, frame.extended_data[0], i * std::size_t(channels) + c);
    out[i] = channels == 1 ? sum : sum / float(channels);
  }
}

struct FreeResampler {
  void operator()(SwrContext* resampler) const { swr_free(&resampler); }
};

/// Resamples what is pushed; the rates may be equal. libswresample drives libsoxr, with the precision that librosa's
/// soxr_hq has.
class Resampler {
 public:
  Resampler(int from, int to, std::int64_t most) : ratio_(double(to) / from), same_(from == to), most_(most) {
    if (same_) return;
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    SwrContext* created = nullptr;
    swr_alloc_set_opts2(&created, &mono, AV_SAMPLE_FMT_FLTP, to, &mono, AV_SAMPLE_FMT_FLTP, from, 0, nullptr);
    resampler_.reset(created);
    if (created == nullptr || av_opt_set_int(created, "resampler", SWR_ENGINE_SOXR, 0) < 0 ||
        av_opt_set_double(created, "precision", 20, 0) < 0 || swr_init(created) < 0)
      resampler_.reset();
  }
  bool ready() const { return same_ || resampler_; }
  bool full() const { return std::int64_t(out_.size()) >= most_; }

  bool push(std::span<const float> samples) {
    in_ += samples.size();
    if (same_) {
      out_.insert(out_.end(), samples.begin(), samples.end());
      return true;
    }
    return process(samples.data(), samples.size());
  }

  /// What is left inside; then exactly ceil(samples in * ratio), as librosa cuts or fills up.
  bool finish() {
    if (same_) return true;
    if (!process(nullptr, 0)) return false;
    out_.resize(std::size_t(std::ceil(double(in_) * ratio_)), 0.0F);
    return true;
  }
  std::size_t samples_in() const { return in_; }
  std::vector<float>& out() { return out_; }

 private:
  bool process(const float* samples, std::size_t count) {
    const auto room = std::size_t(std::ceil(double(count) * ratio_)) + 4096;
    const auto* in = reinterpret_cast<const std::uint8_t*>(samples);
    for (int made = int(room); made == int(room);) {
      const std::size_t before = out_.size();
      out_.resize(before + room);
      auto* out = reinterpret_cast<std::uint8_t*>(out_.data() + before);
      made = swr_convert(resampler_.get(), &out, int(room), in == nullptr ? nullptr : &in, int(count));
      out_.resize(before + std::size_t(std::max(made, 0)));
      if (made < 0) return false;
      if (in != nullptr) count = 0;  // taken whole; another round only fetches what had no room
    }
    return true;
  }

  double ratio_;
  bool same_;
  std::int64_t most_;
  std::unique_ptr<SwrContext, FreeResampler> resampler_;
  std::size_t in_ = 0;
  std::vector<float> out_;
};

Result<std::vector<float>> decode(ffmpeg::Source& source, int rate, const AudioLimits& limits) {
  using Go = ffmpeg::Stream::Go;
  if (rate < 1 || rate > kMaxRate)
    return source.wrong("sampling_rate", "1 to " + std::to_string(kMaxRate), std::to_string(rate));
  ASSAY_TRY(stream, ffmpeg::Stream::open(source, AVMEDIA_TYPE_AUDIO, 0));
  const std::int64_t most = limits.stop_after ? *limits.stop_after + kSlack : limits.samples;
  std::unique_ptr<Resampler> resampler;
  int from = 0;
  int channels = 0;
  std::vector<float> mono;
  const auto take = [&](const AVFrame& frame) -> Result<Go> {
    const int frame_channels = frame.ch_layout.nb_channels;
    if (frame.sample_rate < 1 || frame.sample_rate > kMaxRate)
      return source.wrong("sample rate", "1 to " + std::to_string(kMaxRate), std::to_string(frame.sample_rate));
    if (frame_channels < 1 || frame_channels > kMaxChannels)
      return source.wrong("channels", "1 to " + std::to_string(kMaxChannels), std::to_string(frame_channels));
    if (!resampler) {
      from = frame.sample_rate;
      channels = frame_channels;
      resampler = std::make_unique<Resampler>(from, rate, most);
      if (!resampler->ready())
        return source.wrong("sample rate", "a rate that resamples to " + std::to_string(rate), std::to_string(from));
    }
    if (frame.sample_rate != from || frame_channels != channels)
      return source.wrong("", "one sample rate and number of channels", "a change in the middle");
    mix(frame, channels, mono);
    for (const float sample : mono)
      if (!(std::abs(sample) <= kLoudest)) return source.wrong("", "finite samples", "others");
    if (!resampler->push(mono)) return fail({Failure::internal, source.where(), "", "resampled sound", "a failure"});
    if (!resampler->full()) return Go::on;
    if (limits.stop_after) return Go::stop;
    return source.wrong(
        "length", "at most " + std::to_string(limits.samples) + " samples at " + std::to_string(rate) + " Hz", "more");
  };
  ASSAY_CHECK(stream.decode(take));
  if (!resampler || resampler->samples_in() == 0) return source.wrong("", "sound", "no samples");
  if (!resampler->full() && !resampler->finish())
    return fail({Failure::internal, source.where(), "", "resampled sound", "a failure"});
  std::vector<float> samples = std::move(resampler->out());
  if (limits.stop_after && std::int64_t(samples.size()) > *limits.stop_after)
    samples.resize(std::size_t(*limits.stop_after));
  return samples;
}

}  // namespace

Result<std::vector<float>> decode_audio(const std::filesystem::path& path, int rate, const AudioLimits& limits) {
  ASSAY_TRY(source, ffmpeg::Source::open(path));
  return decode(source, rate, limits);
}

Result<std::vector<float>> decode_audio(std::span<const std::byte> bytes, const std::string& where, int rate,
                                        const AudioLimits& limits) {
  ffmpeg::Source source = ffmpeg::Source::memory(bytes, where);
  return decode(source, rate, limits);
}

}  // namespace assay
