#include "model/media/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

extern "C" {
#include <libavutil/pixdesc.h>
}

#include "model/media/exif.h"
#include "model/media/ffmpeg.h"
#include "model/media/yuv_to_rgb.h"

namespace assay {
namespace {

constexpr std::int64_t kMaxSide = 1 << 20;

std::optional<AVCodecID> sniff(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return AV_CODEC_ID_PNG;
  if (bytes.starts_with("\xff\xd8\xff")) return AV_CODEC_ID_MJPEG;
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return AV_CODEC_ID_GIF;
  if (bytes.starts_with("BM")) return AV_CODEC_ID_BMP;
  if (bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP") return AV_CODEC_ID_WEBP;
  return std::nullopt;
}

/// Whether the first picture's data end inside the file: FFmpeg shows what is there of a GIF and says nothing.
bool gif_is_whole(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  const auto table = [](unsigned flags) { return (flags & 0x80U) != 0 ? std::size_t{3} << ((flags & 7U) + 1) : 0; };
  std::size_t pos = 13 + table(at(10));
  for (bool picture = false; pos < bytes.size();) {
    if (at(pos) == 0x2c) {
      picture = true;
      pos += 10 + table(at(pos + 9)) + 1;
    } else if (at(pos) == 0x21) {
      pos += 2;
    } else {
      return false;
    }
    while (pos < bytes.size() && at(pos) != 0) pos += 1 + at(pos);
    if (pos < bytes.size() && picture) return true;
    ++pos;
  }
  return false;
}

/// What the first bytes look like, for a message.
std::string glimpse(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 16);
  const bool text = std::all_of(head.begin(), head.end(),
                                [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r' || c == '\t'; });
  if (text) return "text";
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string found = "bytes";
  for (const char c : head.substr(0, 8)) {
    const auto byte = static_cast<unsigned char>(c);
    found += std::string(" ") + kHex[byte >> 4U] + kHex[byte & 15U];
  }
  return found;
}

Plane plane_of(const AVFrame& frame, const AVPixFmtDescriptor& format, int index) {
  const bool chroma = index == 1 || index == 2;
  return {frame.data[index], frame.linesize[index],
          chroma ? AV_CEIL_RSHIFT(frame.width, format.log2_chroma_w) : frame.width,
          chroma ? AV_CEIL_RSHIFT(frame.height, format.log2_chroma_h) : frame.height};
}

/// Indices into a table of 256 native 32-bit words, alpha in the upper byte.
void read_palette(const AVFrame& frame, std::span<std::uint8_t> rgb) {
  std::array<std::uint32_t, 256> table{};
  std::memcpy(table.data(), frame.data[1], sizeof(table));
  std::uint8_t* out = rgb.data();
  for (int y = 0; y < frame.height; ++y) {
    const std::uint8_t* row = frame.data[0] + std::ptrdiff_t(y) * frame.linesize[0];
    for (int x = 0; x < frame.width; ++x)
      for (const unsigned shift : {16U, 8U, 0U}) *out++ = std::uint8_t(table[row[x]] >> shift);
  }
}

/// Any packed or planar RGB or grey format, component by component. Deeper ones keep their upper 8 bits.
void read_components(const AVFrame& frame, const AVPixFmtDescriptor& format, std::span<std::uint8_t> rgb) {
  const bool grey = (format.flags & AV_PIX_FMT_FLAG_RGB) == 0;
  const auto width = std::size_t(frame.width);
  std::vector<std::uint16_t> line(width);
  std::array<const std::uint8_t*, 4> data{frame.data[0], frame.data[1], frame.data[2], frame.data[3]};
  for (int y = 0; y < frame.height; ++y)
    for (int channel = 0; channel < 3; ++channel) {
      const int component = grey ? 0 : channel;
      av_read_image_line2(line.data(), data.data(), frame.linesize, &format, 0, y, component, frame.width, 0,
                          sizeof(std::uint16_t));
      const int depth = format.comp[component].depth;
      const int most = (1 << depth) - 1;
      std::uint8_t* out = &rgb[std::size_t(y) * width * 3 + std::size_t(channel)];
      for (std::size_t x = 0; x < width; ++x)
        out[3 * x] = std::uint8_t(depth == 8 ? line[x] : depth > 8 ? line[x] >> (depth - 8) : line[x] * 255 / most);
    }
}

Result<Image> to_rgb(const ffmpeg::Source& source, const AVFrame& frame, AVCodecID codec) {
  const AVPixFmtDescriptor* format = av_pix_fmt_desc_get(AVPixelFormat(frame.format));
  if (format == nullptr || frame.width <= 0 || frame.height <= 0) return source.wrong("", "a picture", "nothing");
  Image image{frame.width, frame.height, {}};
  image.rgb.resize(std::size_t(frame.width) * std::size_t(frame.height) * 3);
  const bool yuv = format->nb_components >= 3 && (format->flags & AV_PIX_FMT_FLAG_RGB) == 0;
  const auto unsupported = [&] {
    return fail({Failure::unsupported, source.where(), "", "RGB, grey or YCbCr of 8 bits", format->name});
  };
  if (!yuv) {
    if ((format->flags & (AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_FLOAT)) != 0) return unsupported();
    if (codec == AV_CODEC_ID_MJPEG && format->nb_components == 4) return unsupported();  // CMYK
    if ((format->flags & AV_PIX_FMT_FLAG_PAL) != 0)
      read_palette(frame, image.rgb);
    else
      read_components(frame, *format, image.rgb);
    return image;
  }
  if (format->comp[0].depth != 8 || (format->flags & AV_PIX_FMT_FLAG_PLANAR) == 0) return unsupported();
  if (codec == AV_CODEC_ID_MJPEG && format->nb_components != 3) return unsupported();  // YCCK
  const Plane luma = plane_of(frame, *format, 0);
  (codec == AV_CODEC_ID_WEBP ? webp_to_rgb : jpeg_to_rgb)(luma, plane_of(frame, *format, 1),
                                                          plane_of(frame, *format, 2), image.rgb);
  return image;
}

/// Turned as EXIF's orientation 2 to 8 asks.
Image turned(const Image& in, int orientation) {
  if (orientation <= 1) return in;
  const bool across = orientation >= 5;
  Image out{across ? in.height : in.width, across ? in.width : in.height, {}};
  out.rgb.resize(in.rgb.size());
  const int w = in.width - 1;
  const int h = in.height - 1;
  std::size_t at = 0;
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) {
      const auto [from_x, from_y] = [&]() -> std::pair<int, int> {
        switch (orientation) {
          case 2: return {w - x, y};
          case 3: return {w - x, h - y};
          case 4: return {x, h - y};
          case 5: return {y, x};
          case 6: return {y, h - x};
          case 7: return {w - y, h - x};
          default: return {w - y, x};
        }
      }();
      const std::size_t from = (std::size_t(from_y) * std::size_t(in.width) + std::size_t(from_x)) * 3;
      for (std::size_t channel = 0; channel < 3; ++channel) out.rgb[at++] = in.rgb[from + channel];
    }
  return out;
}

Result<ffmpeg::Frame> first_picture(const ffmpeg::Source& source, std::string_view bytes, AVCodecID id,
                                    std::int64_t max_pixels) {
  // Errors end the decoding: half a picture is none. One inverse transform for all processors.
  const std::array<std::pair<const char*, const char*>, 2> options{
      {{"err_detect", "crccheck+bitstream+buffer+explode"}, {"idct", "simple"}}};
  ASSAY_TRY(codec, ffmpeg::open_codec(source, id, nullptr, max_pixels, options));
  const ffmpeg::Packet packet(av_packet_alloc());
  ffmpeg::Frame frame(av_frame_alloc());
  if (!packet || !frame || av_new_packet(packet.get(), int(bytes.size())) < 0)
    return fail({Failure::internal, source.where(), "", "memory", "none"});
  std::copy(bytes.begin(), bytes.end(), packet->data);
  int code = avcodec_send_packet(codec.get(), packet.get());
  if (code >= 0) code = avcodec_receive_frame(codec.get(), frame.get());
  if (code == AVERROR(EAGAIN)) {
    avcodec_send_packet(codec.get(), nullptr);
    code = avcodec_receive_frame(codec.get(), frame.get());
  }
  const std::string expected =
      std::string("a whole ") + avcodec_get_name(id) + " picture of at most " + std::to_string(max_pixels) + " pixels";
  if (code < 0) return source.wrong("", expected, "damage: " + ffmpeg::error_text(code));
  if (frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0)
    return source.wrong("", expected, "damage");
  return frame;
}

Result<Image> decode(ffmpeg::Source& source, const ImageLimits& limits) {
  ASSAY_TRY(file, source.all(limits.file_bytes));
  const std::string_view bytes(file.data(), file.size());
  const std::optional<AVCodecID> codec = sniff(bytes);
  if (!codec) return source.wrong("", "a PNG, JPEG, WebP, BMP or GIF image", glimpse(bytes));
  if (*codec == AV_CODEC_ID_GIF && !gif_is_whole(bytes)) return source.wrong("", "a whole gif picture", "damage");
  ASSAY_TRY(frame, first_picture(source, bytes, *codec, limits.pixels));
  if (frame->width > kMaxSide || frame->height > kMaxSide || std::int64_t{frame->width} * frame->height > limits.pixels)
    return source.wrong("", "at most " + std::to_string(limits.pixels) + " pixels",
                        std::to_string(frame->width) + " x " + std::to_string(frame->height));
  ASSAY_TRY(image, to_rgb(source, *frame, *codec));
  return turned(image, exif_orientation(bytes));
}

}  // namespace

Result<Image> decode_image(const std::filesystem::path& path, const ImageLimits& limits) {
  ASSAY_TRY(source, ffmpeg::Source::open(path));
  return decode(source, limits);
}

Result<Image> decode_image(std::span<const std::byte> bytes, const std::string& where, const ImageLimits& limits) {
  ffmpeg::Source source = ffmpeg::Source::memory(bytes, where);
  return decode(source, limits);
}

}  // namespace assay
