#include "model/media/video.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/tolerance.h"
#include "media/expected.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::int64_t> indices(std::int64_t total, double fps, const Sampling& sampling) {
  return sample_indices(total, fps, sampling, "test").value_or(std::vector<std::int64_t>{});
}

TEST(Sampling, SpreadsFramesEvenly) {
  EXPECT_THAT(indices(10, 5, {.num_frames = 4}), ElementsAre(0, 2, 5, 7));
  EXPECT_THAT(indices(3, 5, {.num_frames = 3}), ElementsAre(0, 1, 2));
  EXPECT_THAT(indices(30, 10, {.fps = 1}), ElementsAre(0, 10, 20));
  EXPECT_THAT(indices(3, 30, {.fps = 1}), ElementsAre(0));
  EXPECT_EQ(indices(7, 5, {}).size(), 7U);
  EXPECT_EQ(indices(7, 5, {.sample = false, .num_frames = 3}).size(), 7U);
}

TEST(Sampling, RefusesWhatTheFilmDoesNotHave) {
  EXPECT_THAT(message_of(sample_indices(31, 10, {.num_frames = 32}, "film")), HasSubstr("at least the 32"));
  EXPECT_FALSE(sample_indices(0, 10, {}, "film"));
  EXPECT_FALSE(sample_indices(10, 0, {.fps = 2}, "film"));
  EXPECT_FALSE(sample_indices(10, 10, {.num_frames = 2, .fps = 2}, "film"));
  EXPECT_FALSE(sample_indices(10, 1, {.fps = 1e6}, "film"));
}

TEST(Video, FramesAreThoseOfPyAV) {
  const auto film = decode_video(media_file("clip.mp4"), {.num_frames = 3});
  ASSERT_TRUE(film) << message_of(film);
  EXPECT_EQ(film->total, expected_json()["frames"]);
  EXPECT_EQ(film->fps, 5);
  EXPECT_THAT(film->indices, ElementsAre(0, 4, 8));
  const auto all = decode_video(media_file("clip.mp4"), {.sample = false});
  ASSERT_TRUE(all) << message_of(all);
  ASSERT_EQ(all->frames.size(), 12U);
  EXPECT_EQ(all->frames[8], film->frames[2]);
  const auto expected = expected_tensor("frame.7").integers();
  const Image& frame = all->frames[7];
  ASSERT_EQ(frame.rgb.size(), expected->size());
  for (std::size_t i = 0; i < frame.rgb.size(); ++i)
    ASSERT_LE(std::abs(double(frame.rgb[i]) - double((*expected)[i])), film_decode().atol) << i;
}

TEST(Video, RefusesWhatIsCutShortOrNoFilm) {
  const std::string bytes = bytes_of(media_file("clip.mp4"));
  for (const double share : {0.1, 0.5, 0.9}) {
    const std::string part = bytes.substr(0, std::size_t(double(bytes.size()) * share));
    EXPECT_FALSE(decode_video(std::as_bytes(std::span(part)), "cut", {.num_frames = 12})) << share;
  }
  EXPECT_THAT(message_of(decode_video(media_file("stereo.wav"), Sampling{})), HasSubstr("a stream of video"));
  EXPECT_FALSE(decode_video(media_file("expected.json"), Sampling{}));
}

TEST(Video, KeepsToItsLimits) {
  EXPECT_THAT(message_of(decode_video(media_file("clip.mp4"), Sampling{}, {.frames = 11})), HasSubstr("at most 11"));
  EXPECT_THAT(message_of(decode_video(media_file("clip.mp4"), Sampling{}, {.rgb_bytes = 64 * 48 * 3 * 11})),
              HasSubstr("bytes of RGB"));
  EXPECT_FALSE(decode_video(media_file("clip.mp4"), Sampling{}, {.pixels = 64 * 48 - 1}));
}

}  // namespace
}  // namespace assay
