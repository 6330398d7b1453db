#include "model/media/audio.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/tolerance.h"
#include "media/expected.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

std::string wav(unsigned rate, unsigned channels, const std::string& samples, unsigned format = 1, unsigned bits = 16) {
  const auto n = [](unsigned value, int size) {
    std::string out;
    for (int i = 0; i < size; ++i) out += char(static_cast<unsigned char>(value >> unsigned(8 * i)));
    return out;
  };
  return "RIFF" + n(unsigned(samples.size()) + 36, 4) + "WAVEfmt " + n(16, 4) + n(format, 2) + n(channels, 2) +
         n(rate, 4) + n(rate * channels * bits / 8, 4) + n(channels * bits / 8, 2) + n(bits, 2) + "data" +
         n(unsigned(samples.size()), 4) + samples;
}

Result<std::vector<float>> decode_bytes(const std::string& bytes, const AudioLimits& limits = {}) {
  return decode_audio(std::as_bytes(std::span(bytes)), "memory", kAudioRate, limits);
}

TEST(Audio, IsWhatLibrosaMakesOfEachFile) {
  for (const std::string name : {"stereo.wav", "mono-24.wav", "bytes.wav"}) {
    const auto samples = decode_audio(media_file(name));
    ASSERT_TRUE(samples) << message_of(samples);
    const auto expected = expected_tensor(name).floats();
    ASSERT_EQ(samples->size(), expected->size()) << name;
    for (std::size_t i = 0; i < samples->size(); ++i)
      ASSERT_NEAR((*samples)[i], (*expected)[i], assay::samples().atol) << name << " at " << i;
  }
}

TEST(Audio, AtItsOwnRateIsTheChannelsMean) {
  const auto samples = decode_bytes(wav(16000, 2, std::string("\x00\x40\x00\x20\x00\x80\x00\x80", 8)));
  ASSERT_TRUE(samples) << message_of(samples);
  EXPECT_THAT(*samples, testing::ElementsAre(0.375F, -1.0F));
}

TEST(Audio, StopsWhereItsReaderCuts) {
  const std::string second = wav(16000, 1, std::string(32000, '\x11'));
  EXPECT_EQ(decode_bytes(second, {.stop_after = 4000})->size(), 4000U);
  EXPECT_EQ(decode_bytes(second, {.stop_after = 400'000})->size(), 16000U);
  const auto whole = decode_audio(media_file("stereo.wav"));
  const auto cut = decode_audio(media_file("stereo.wav"), kAudioRate, {.stop_after = 1000});
  ASSERT_TRUE(whole && cut);
  EXPECT_TRUE(std::equal(cut->begin(), cut->end(), whole->begin()));
}

TEST(Audio, RefusesWhatIsTooLong) {
  EXPECT_THAT(message_of(decode_bytes(wav(16000, 1, std::string(32000, 'x')), {.samples = 15999})),
              HasSubstr("at most 15999 samples"));
}

TEST(Audio, OfSilenceIsZeros) {
  EXPECT_EQ(decode_bytes(wav(44100, 1, std::string(882, '\0'))).value(), std::vector<float>(160, 0.0F));
}

TEST(Audio, RefusesWhatHasNoSound) {
  EXPECT_THAT(message_of(decode_bytes("words")), HasSubstr("a file with audio"));
  EXPECT_THAT(message_of(decode_bytes("")), HasSubstr("an empty file"));
  EXPECT_FALSE(decode_bytes(wav(16000, 1, "")));
  EXPECT_FALSE(decode_bytes(wav(0, 1, "abcd")));
  EXPECT_FALSE(decode_bytes(wav(4'000'000'000U, 1, "abcd")));
  EXPECT_FALSE(decode_bytes(wav(16000, 0, "abcd")));
  EXPECT_THAT(message_of(decode_audio(media_file("clip.mp4"))), HasSubstr("a stream of audio"));
  EXPECT_FALSE(decode_audio(media_file("picture.png")));
  const std::string nan = wav(16000, 1, std::string("\x00\x00\xc0\x7f", 4), 3, 32);
  EXPECT_THAT(message_of(decode_bytes(nan)), HasSubstr("finite samples"));
}

}  // namespace
}  // namespace assay
