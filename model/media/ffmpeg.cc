#include "model/media/ffmpeg.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

namespace assay::ffmpeg {
namespace fs = std::filesystem;
namespace {

constexpr int kIoBuffer = 1 << 16;
constexpr int kMaxInVain = 10'000;        // packets in a row that no frame came of
constexpr unsigned kMaxStreams = 64;      // of one container
constexpr std::int64_t kProbe = 5 << 20;  // bytes looked at to tell what a file holds
constexpr const char* kDemuxers =
    "aac,ac3,aiff,amr,asf,au,avi,caf,flac,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,rm,w64,wav,"
    "wv,matroska\\,webm,mov\\,mp4\\,m4a\\,3gp\\,3g2\\,mj2";

/// FFmpeg's log and its largest allocation are globals; a library says nothing on stderr.
void set_up() {
  static const bool done = [] {
    av_log_set_level(AV_LOG_QUIET);
    av_max_alloc(std::size_t{1} << 30U);  // the largest picture that decode_image takes has 16-bit RGBA in 0.7 GB
    return true;
  }();
  static_cast<void>(done);
}

int refuse_io(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) { return AVERROR(EACCES); }

}  // namespace

std::string error_text(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

Result<Source> Source::open(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error))
    return fail({Failure::io, path.string(), "", "a file", error ? error.message() : "something else"});
  Source source;
  source.where_ = path.string();
  source.size_ = std::int64_t(fs::file_size(path, error));
  source.file_ = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (error || !*source.file_) return fail({Failure::io, path.string(), "", "a readable file", "none"});
  return source;
}

Source Source::memory(std::span<const std::byte> bytes, std::string where) {
  Source source;
  source.where_ = std::move(where);
  source.size_ = std::int64_t(bytes.size());
  source.memory_ = bytes;
  return source;
}

std::int64_t Source::read(std::int64_t at, std::span<std::byte> out) {
  if (at < 0 || at >= size_) return 0;
  const auto count = std::min(std::int64_t(out.size()), size_ - at);
  if (!file_) {
    std::memcpy(out.data(), memory_.data() + at, std::size_t(count));
    return count;
  }
  file_->clear();
  file_->seekg(at);
  file_->read(reinterpret_cast<char*>(out.data()), count);
  return file_->bad() ? -1 : std::int64_t(file_->gcount());
}

Result<std::vector<char>> Source::all(std::int64_t limit) {
  if (size_ == 0) return wrong("", "a media file", "an empty file");
  if (size_ > limit) return wrong("", "at most " + std::to_string(limit) + " bytes", std::to_string(size_));
  std::vector<char> bytes(static_cast<std::size_t>(size_));
  if (read(0, std::as_writable_bytes(std::span(bytes))) != size_)
    return fail({Failure::io, where_, "", "a readable file", "a read error"});
  return bytes;
}

tl::unexpected<Failure> Source::wrong(std::string field, std::string expected, std::string found) const {
  return fail({Failure::bad_input, where_, std::move(field), std::move(expected), std::move(found)});
}

void Stream::CloseIo::operator()(AVIOContext* io) const {
  av_freep(&io->buffer);
  avio_context_free(&io);
}

Result<Codec> open_codec(const Source& source, AVCodecID id, const AVCodecParameters* parameters,
                         std::int64_t max_pixels, std::span<const std::pair<const char*, const char*>> options) {
  set_up();
  const AVCodec* decoder = avcodec_find_decoder(id);
  if (decoder == nullptr)
    return fail({Failure::unsupported, source.where(), "", "a codec that FFmpeg decodes", avcodec_get_name(id)});
  Codec codec(avcodec_alloc_context3(decoder));
  if (!codec) return fail({Failure::internal, source.where(), "", "memory for a decoder", "none"});
  if (parameters != nullptr && avcodec_parameters_to_context(codec.get(), parameters) < 0)
    return source.wrong("", "parameters of a stream", "damage");
  // It counts rows that are rounded up; whoever reads the frames checks their true size.
  codec->max_pixels = max_pixels > 0 ? 2 * max_pixels + (1 << 16) : 0;
  codec->thread_count = 1;  // the same frames, in the same order, on every machine
  AVDictionary* dictionary = nullptr;
  for (const auto& [key, value] : options) av_dict_set(&dictionary, key, value, 0);
  const int opened = avcodec_open2(codec.get(), decoder, &dictionary);
  av_dict_free(&dictionary);
  if (opened < 0) return source.wrong("", std::string("a stream of ") + avcodec_get_name(id), error_text(opened));
  return codec;
}

Result<Stream> Stream::open(Source& source, AVMediaType type, std::int64_t max_pixels) {
  set_up();
  const std::string kind = av_get_media_type_string(type);
  if (source.size() == 0) return source.wrong("", "a file with " + kind, "an empty file");
  Stream stream;
  stream.source_ = &source;
  stream.reader_ = std::make_unique<Reader>(Reader{&source, 0});
  auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBuffer));
  const auto read = [](void* opaque, std::uint8_t* out, int size) -> int {
    auto& reader = *static_cast<Reader*>(opaque);
    const std::int64_t count =
        reader.source->read(reader.at, std::as_writable_bytes(std::span(out, std::size_t(size))));
    if (count < 0) return AVERROR(EIO);
    if (count == 0) return AVERROR_EOF;
    reader.at += count;
    return int(count);
  };
  const auto seek = [](void* opaque, std::int64_t offset, int whence) -> std::int64_t {
    auto& reader = *static_cast<Reader*>(opaque);
    if ((whence & AVSEEK_SIZE) != 0) return reader.source->size();
    switch (whence & ~AVSEEK_FORCE) {
      case SEEK_SET: break;
      case SEEK_CUR: offset += reader.at; break;
      case SEEK_END: offset += reader.source->size(); break;
      default: return AVERROR(EINVAL);
    }
    if (offset < 0) return AVERROR(EINVAL);
    return reader.at = offset;
  };
  stream.io_.reset(avio_alloc_context(buffer, kIoBuffer, 0, stream.reader_.get(), read, nullptr, seek));
  AVFormatContext* container = avformat_alloc_context();
  if (!stream.io_ || container == nullptr) return fail({Failure::internal, source.where(), "", "memory", "none"});
  container->pb = stream.io_.get();
  container->flags |= AVFMT_FLAG_CUSTOM_IO;
  container->io_open = refuse_io;
  container->max_streams = int(kMaxStreams);
  container->probesize = kProbe;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "format_whitelist", kDemuxers, 0);
  av_dict_set(&options, "protocol_whitelist", "none", 0);
  const int opened = avformat_open_input(&container, nullptr, nullptr, &options);  // frees the container if it fails
  av_dict_free(&options);
  if (opened < 0) return source.wrong("", "a file with " + kind, error_text(opened));
  stream.container_.reset(container);
  if (const int found = avformat_find_stream_info(container, nullptr); found < 0)
    return source.wrong("", "a file with " + kind, error_text(found));
  // The first, as transformers takes it; a cover picture is no film.
  for (unsigned i = 0; i < container->nb_streams && stream.stream_ == nullptr; ++i) {
    AVStream* candidate = container->streams[i];
    const bool picture = (candidate->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
    if (candidate->codecpar->codec_type == type && !picture) stream.stream_ = candidate;
  }
  if (stream.stream_ == nullptr)
    return source.wrong(
        "", "a stream of " + kind,
        container->nb_streams == 0 ? "none" : "only others (" + std::to_string(container->nb_streams) + ")");
  for (unsigned i = 0; i < container->nb_streams; ++i)
    container->streams[i]->discard = container->streams[i] == stream.stream_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  ASSAY_TRY(codec, open_codec(source, stream.stream_->codecpar->codec_id, stream.stream_->codecpar, max_pixels, {}));
  stream.codec_ = std::move(codec);
  stream.codec_->pkt_timebase = stream.stream_->time_base;
  return stream;
}

Result<Stream::Go> Stream::receive(AVFrame& frame, std::int64_t& frames,
                                   const std::function<Result<Go>(const AVFrame&)>& take) {
  for (;;) {
    const int received = avcodec_receive_frame(codec_.get(), &frame);
    if (received == AVERROR(EAGAIN) || received == AVERROR_EOF) return Go::on;
    if (received < 0) {
      ++damage_;
      return Go::on;
    }
    ++frames;
    ASSAY_TRY(go, take(frame));
    av_frame_unref(&frame);
    if (go == Go::stop) return Go::stop;
  }
}

Result<void> Stream::decode(const std::function<Result<Go>(const AVFrame&)>& take) {
  const Packet packet(av_packet_alloc());
  const Frame frame(av_frame_alloc());
  std::int64_t frames = 0;
  int in_vain = 0;
  int read = 0;
  while ((read = av_read_frame(container_.get(), packet.get())) >= 0 && in_vain < kMaxInVain) {
    const bool ours = packet->stream_index == stream_->index;
    const int sent = ours ? avcodec_send_packet(codec_.get(), packet.get()) : 0;
    av_packet_unref(packet.get());
    if (!ours) continue;
    ++in_vain;
    if (sent < 0) {
      ++damage_;
      continue;
    }
    const std::int64_t before = frames;
    ASSAY_TRY(go, receive(*frame, frames, take));
    if (go == Go::stop) return {};
    if (frames > before) in_vain = 0;
  }
  if (read < 0 && read != AVERROR_EOF) ++damage_;
  avcodec_send_packet(codec_.get(), nullptr);
  ASSAY_CHECK(receive(*frame, frames, take));
  if (frames == 0)
    return source_->wrong("", std::string("a stream of ") + avcodec_get_name(codec_->codec_id), "nothing that decodes");
  return {};
}

}  // namespace assay::ffmpeg
