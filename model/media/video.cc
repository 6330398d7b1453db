#include "model/media/video.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

extern "C" {
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include "model/media/ffmpeg.h"

namespace assay {
namespace {

using Go = ffmpeg::Stream::Go;

constexpr std::int64_t kMostFrames = std::int64_t{1} << 30;  // so that i * total fits

struct FreeScaler {
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};

/// RGB of frames as PyAV's to_ndarray(format="rgb24") gives it: libswscale, bilinear, colours as the frame says.
class ToRgb {
 public:
  Result<Image> operator()(const ffmpeg::Source& source, const AVFrame& frame) {
    const auto format = AVPixelFormat(frame.format);
    if (!scaler_ || frame.width != width_ || frame.height != height_ || format != format_ ||
        frame.colorspace != colors_ || frame.color_range != range_)
      ASSAY_CHECK(open(source, frame));
    Image image{width_, height_, {}};
    const std::size_t row = std::size_t(width_) * 3;
    // libswscale may write past the end of a row: rows are padded, then packed.
    const std::size_t padded = (row + 63) / 64 * 64;
    std::vector<std::uint8_t> rows(padded * std::size_t(height_) + 64);
    std::uint8_t* planes[4] = {rows.data(), nullptr, nullptr, nullptr};
    const int strides[4] = {int(padded), 0, 0, 0};
    if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, height_, planes, strides) != height_)
      return fail({Failure::internal, source.where(), "", "RGB of a frame", "a failure"});
    image.rgb.resize(row * std::size_t(height_));
    for (std::size_t y = 0; y < std::size_t(height_); ++y)
      std::copy_n(rows.begin() + std::ptrdiff_t(y * padded), row, image.rgb.begin() + std::ptrdiff_t(y * row));
    return image;
  }

 private:
  Result<void> open(const ffmpeg::Source& source, const AVFrame& frame) {
    const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(AVPixelFormat(frame.format));
    const std::string name = format == nullptr ? "none" : format->name;
    if (format == nullptr || sws_isSupportedInput(AVPixelFormat(frame.format)) == 0)
      return fail({Failure::unsupported, source.where(), "", "a pixel format that libswscale reads", name});
    width_ = frame.width;
    height_ = frame.height;
    format_ = AVPixelFormat(frame.format);
    colors_ = frame.colorspace;
    range_ = frame.color_range;
    scaler_.reset(sws_getContext(width_, height_, format_, width_, height_, AV_PIX_FMT_RGB24, SWS_BILINEAR, nullptr,
                                 nullptr, nullptr));
    if (!scaler_) return source.wrong("", "a picture of a size that libswscale takes", name);
    const bool named_full = name.starts_with("yuvj");
    const int full = range_ == AVCOL_RANGE_JPEG || named_full ? 1 : 0;
    const int* from = sws_getCoefficients(colors_ == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : int(colors_));
    sws_setColorspaceDetails(scaler_.get(), from, full, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    return {};
  }

  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  int width_ = 0, height_ = 0;
  AVPixelFormat format_ = AV_PIX_FMT_NONE;
  AVColorSpace colors_ = AVCOL_SPC_UNSPECIFIED;
  AVColorRange range_ = AVCOL_RANGE_UNSPECIFIED;
};

Result<ffmpeg::Stream> open_film(ffmpeg::Source& source, const VideoLimits& limits) {
  return ffmpeg::Stream::open(source, AVMEDIA_TYPE_VIDEO, limits.pixels);
}

Result<std::int64_t> count_frames(ffmpeg::Source& source, const VideoLimits& limits) {
  ASSAY_TRY(film, open_film(source, limits));
  std::int64_t frames = 0;
  const auto count = [&](const AVFrame&) -> Result<Go> {
    if (++frames <= limits.frames) return Go::on;
    return source.wrong("frames", "at most " + std::to_string(limits.frames), "more");
  };
  ASSAY_CHECK(film.decode(count));
  return frames;
}

/// The frames of `video.indices`, in ascending order.
Result<void> take_frames(ffmpeg::Source& source, ffmpeg::Stream& film, const VideoLimits& limits, Video& video) {
  ToRgb to_rgb;
  std::int64_t index = 0;
  std::size_t next = 0;
  std::int64_t kept = 0;
  const auto take = [&](const AVFrame& frame) -> Result<Go> {
    if (index == video.indices[next]) {
      if (std::int64_t{frame.width} * frame.height > limits.pixels)
        return source.wrong("frames", "at most " + std::to_string(limits.pixels) + " pixels each",
                            std::to_string(frame.width) + " x " + std::to_string(frame.height));
      kept += std::int64_t{3} * frame.width * frame.height;
      if (kept > limits.rgb_bytes)
        return source.wrong("frames", "at most " + std::to_string(limits.rgb_bytes) + " bytes of RGB", "more");
      ASSAY_TRY(image, to_rgb(source, frame));
      if (!video.frames.empty() &&
          (image.width != video.frames.front().width || image.height != video.frames.front().height))
        return source.wrong("frames", "one size", "a change in the middle");
      video.frames.push_back(std::move(image));
      ++next;
    }
    ++index;
    return next == video.indices.size() ? Go::stop : Go::on;
  };
  ASSAY_CHECK(film.decode(take));
  if (next < video.indices.size())
    return source.wrong("frames", std::to_string(video.total) + ", as the file says", std::to_string(index));
  return {};
}

Result<Video> decode(ffmpeg::Source& source, const ChooseFrames& choose, const VideoLimits& limits) {
  ASSAY_TRY(film, open_film(source, limits));
  Video video;
  video.total = film->nb_frames;
  video.fps = film->avg_frame_rate.den == 0 ? 0 : av_q2d(film->avg_frame_rate);
  if (!std::isfinite(video.fps) || video.fps < 0) video.fps = 0;
  if (video.total <= 0) {
    ASSAY_TRY(counted, count_frames(source, limits));
    video.total = counted;
  }
  if (video.total > limits.frames)
    return source.wrong("frames", "at most " + std::to_string(limits.frames), std::to_string(video.total));
  ASSAY_TRY(indices, choose(video.total, video.fps));
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (indices[i] < (i == 0 ? 0 : indices[i - 1] + 1) || indices[i] >= video.total)
      return fail({Failure::internal, source.where(), "frames",
                   "ascending indices below " + std::to_string(video.total), std::to_string(indices[i])});
  if (indices.empty()) return source.wrong("frames", "at least one", "none");
  video.indices = std::move(indices);
  ASSAY_CHECK(take_frames(source, film, limits, video));
  return video;
}

}  // namespace

Result<std::vector<std::int64_t>> sample_indices(std::int64_t total, double fps, const Sampling& sampling,
                                                 const std::string& where) {
  const auto wrong = [&](std::string expected, std::string found) {
    return fail({Failure::bad_input, where, "frames", std::move(expected), std::move(found)});
  };
  if (total < 1 || total > kMostFrames) return wrong("1 to " + std::to_string(kMostFrames), std::to_string(total));
  if (sampling.sample && sampling.num_frames && sampling.fps) return wrong("num_frames or fps", "both");
  std::optional<double> wanted;
  if (sampling.sample && sampling.num_frames) {
    wanted = *sampling.num_frames;
  } else if (sampling.sample && sampling.fps) {
    if (!(fps > 0))
      return wrong("a frame rate in the file, to sample " + std::to_string(*sampling.fps) + " a second", "none");
    wanted = std::max(1.0, std::trunc(double(total) / fps * *sampling.fps));
  }
  const double count = wanted.value_or(double(total));
  if (!(count >= 1)) return wrong("at least one", std::to_string(count));
  if (count > double(total))
    return wrong("at least the " + std::to_string(std::int64_t(std::min(count, 1e15))) + " that are asked for",
                 std::to_string(total));
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = std::int64_t(i) * total / std::int64_t(count);
  return indices;
}

Result<Video> decode_video(const std::filesystem::path& path, const ChooseFrames& choose, const VideoLimits& limits) {
  ASSAY_TRY(source, ffmpeg::Source::open(path));
  return decode(source, choose, limits);
}

namespace {

ChooseFrames chooser(const Sampling& sampling, const std::string& where) {
  return [&sampling, where](std::int64_t total, double fps) { return sample_indices(total, fps, sampling, where); };
}

}  // namespace

Result<Video> decode_video(const std::filesystem::path& path, const Sampling& sampling, const VideoLimits& limits) {
  return decode_video(path, chooser(sampling, path.string()), limits);
}

Result<Video> decode_video(std::span<const std::byte> bytes, const std::string& where, const Sampling& sampling,
                           const VideoLimits& limits) {
  ffmpeg::Source source = ffmpeg::Source::memory(bytes, where);
  return decode(source, chooser(sampling, where), limits);
}

}  // namespace assay
