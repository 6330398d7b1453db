// FFmpeg's C objects with owners, and its demuxers closed off: a file is read through a reader of ours, so that no
// playlist, reference or protocol inside it can open another. Private to model/media. Not here: what is decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include "base/result.h"

namespace assay::ffmpeg {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(&object);
  }
};
using Packet = std::unique_ptr<AVPacket, Freed<av_packet_free>>;
using Frame = std::unique_ptr<AVFrame, Freed<av_frame_free>>;
using Codec = std::unique_ptr<AVCodecContext, Freed<avcodec_free_context>>;

/// What an FFmpeg call returned, in words.
std::string error_text(int code);

/// Where a media file's bytes come from: a file on disk, or memory that outlives the reader.
class Source {
 public:
  /// Errors: io (no such file, not a regular file).
  static Result<Source> open(const std::filesystem::path& path);
  static Source memory(std::span<const std::byte> bytes, std::string where);

  const std::string& where() const { return where_; }
  std::int64_t size() const { return size_; }
  /// At most out.size() bytes from `at`; 0 at the end, -1 where the system refuses.
  std::int64_t read(std::int64_t at, std::span<std::byte> out);
  /// All bytes. Errors: bad_input (empty, or more than `limit`), io.
  Result<std::vector<char>> all(std::int64_t limit);
  /// A failure about this source.
  tl::unexpected<Failure> wrong(std::string field, std::string expected, std::string found) const;

 private:
  std::string where_;
  std::int64_t size_ = 0;
  std::span<const std::byte> memory_;
  std::unique_ptr<std::ifstream> file_;
};

/// A container, one of its streams, and the decoder of that stream. Frames come in presentation order.
class Stream {
 public:
  /// Opens the best stream of `type`. Errors: bad_input (no container that is known, no such stream, larger pictures
  /// than `max_pixels`, damage); unsupported (no decoder).
  static Result<Stream> open(Source& source, AVMediaType type, std::int64_t max_pixels);

  AVStream* operator->() const { return stream_; }
  const AVCodecContext& codec() const { return *codec_; }
  AVFormatContext& container() const { return *container_; }

  enum class Go { on, stop };
  /// Hands each frame to `take` until it says stop or none is left. Damaged packets are skipped where something else
  /// could be decoded; `damage` then says how many.
  /// Errors: bad_input (nothing could be decoded); those of `take`.
  Result<void> decode(const std::function<Result<Go>(const AVFrame&)>& take);
  int damage() const { return damage_; }

 private:
  struct CloseContainer {
    void operator()(AVFormatContext* context) const { avformat_close_input(&context); }
  };
  struct CloseIo {
    void operator()(AVIOContext* io) const;
  };
  struct Reader {
    Source* source = nullptr;
    std::int64_t at = 0;
  };
  Result<Go> receive(AVFrame& frame, std::int64_t& frames, const std::function<Result<Go>(const AVFrame&)>& take);

  Source* source_ = nullptr;
  std::unique_ptr<Reader> reader_;
  std::unique_ptr<AVIOContext, CloseIo> io_;
  std::unique_ptr<AVFormatContext, CloseContainer> container_;
  Codec codec_;
  AVStream* stream_ = nullptr;
  int damage_ = 0;
};

/// A decoder of that kind, opened with the parameters and options given. Errors: unsupported.
Result<Codec> open_codec(const Source& source, AVCodecID id, const AVCodecParameters* parameters,
                         std::int64_t max_pixels, std::span<const std::pair<const char*, const char*>> options);

}  // namespace assay::ffmpeg
